use super::*;
use crate::stub::{Answer, Stub};

fn described(status: &str, outputs: &[(&str, &str)]) -> Answer {
    let member = |(key, value): &(&str, &str)| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let outputs: String = outputs.iter().map(member).collect();
    Answer::Http(
        200,
        format!(
            "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>mine</StackName>\
             <CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>{status}</StackStatus>\
             <Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
        ),
    )
}

fn refused(code: &str, message: &str) -> Answer {
    let error =
        format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>");
    Answer::Http(400, error)
}

async fn ask(answer: Answer) -> Result<Stack, PortError> {
    let client = Client::new(&Stub::new(move |_| answer.clone()).config().await);
    describe(&client, "mine", "eu-central-1".to_owned()).await
}

#[tokio::test]
async fn a_whole_stack_gives_its_outputs_and_names_what_is_missing() {
    let stack = ask(described("UPDATE_COMPLETE", &[("TableName", "t"), ("Empty", "")])).await.unwrap();
    assert_eq!(stack.output("TableName"), Ok("t"));
    for missing in ["StreamName", "Empty"] {
        let error = stack.output(missing).unwrap_err();
        assert!(error.what.contains(&format!("the stack mine in eu-central-1 has no output {missing}")), "{error}");
    }
    assert!(stack.config().unwrap_err().what.contains("ManifestTableName"));
}

#[tokio::test]
async fn a_stack_that_is_not_whole_is_refused() {
    for (status, text, transient) in [
        ("CREATE_IN_PROGRESS", "is being made", true),
        ("REVIEW_IN_PROGRESS", "is being made", true),
        ("ROLLBACK_COMPLETE", "destroy it and deploy again", false),
        ("CREATE_FAILED", "destroy it and deploy again", false),
        ("DELETE_IN_PROGRESS", "it is not whole", false),
        ("UPDATE_FAILED", "its last change failed; deploy again", false),
        ("UPDATE_ROLLBACK_FAILED", "it is not whole", false),
        ("SOMETHING_NEW", "it is not whole", false),
    ] {
        let error = ask(described(status, &[("TableName", "t")])).await.unwrap_err();
        assert!(error.what.contains(text) && error.what.contains(status), "{error}");
        assert_eq!(error.is_transient(), transient, "{status}");
    }
    for status in ["CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"] {
        assert!(ask(described(status, &[])).await.is_ok(), "{status}");
    }
}

#[tokio::test]
async fn no_stack_and_no_right_are_told_apart() {
    let error = ask(refused("ValidationError", "Stack with id mine does not exist")).await.unwrap_err();
    assert!(error.what.contains("there is no stack mine in eu-central-1; check the name, AWS_REGION"), "{error}");
    let error = ask(refused("AccessDenied", "not authorized to perform: cloudformation:DescribeStacks")).await;
    assert!(error.unwrap_err().what.contains("cloudformation:DescribeStacks"));
    let error = ask(refused("ExpiredToken", "expired")).await.unwrap_err();
    assert!(error.what.contains("the credentials have expired"), "{error}");
}

#[test]
fn the_management_endpoint_is_the_websockets_by_http() {
    assert_eq!(
        management_endpoint("wss://x.execute-api.eu-central-1.amazonaws.com/live"),
        "https://x.execute-api.eu-central-1.amazonaws.com/live"
    );
    assert_eq!(
        management_endpoint("ws://127.0.0.1:1/_aws/execute-api/a/live"),
        "http://127.0.0.1:1/_aws/execute-api/a/live"
    );
}
