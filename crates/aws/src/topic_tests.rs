use ports::ErrorClass;

use super::*;
use crate::stub::{Answer, Stub};

const PAGER_ARN: &str = "arn:aws:sns:eu-central-1:1:daywatch-pager";

async fn topics(stub: &Stub) -> Topics {
    let client = crate::connect::sns_client(&stub.config().await);
    let config = Config { pager_topic_arn: Some(PAGER_ARN.to_owned()), ..Config::default() };
    Topics::new(client, &config)
}

fn message(destination: Destination) -> Message {
    Message {
        destination,
        subject: "ALARM: DiskFull web-1".to_owned(),
        attributes: vec![("severity".to_owned(), "page".to_owned()), ("env".to_owned(), String::new())],
        default: "{\"a\":\"ü\"}".to_owned(),
        email: "full".to_owned(),
        sms: "short".to_owned(),
    }
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>secret-payload</Message></Error></ErrorResponse>"
    );
    Answer::Http(status, body)
}

fn published() -> Answer {
    let id = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>";
    Answer::Http(200, id.to_owned())
}

#[tokio::test]
async fn a_message_goes_in_all_its_forms() {
    let stub = Stub::script([published()]);
    let delivery = topics(&stub).await.publish(&message(Destination::Pager)).await.unwrap();
    assert_eq!((delivery.to.as_str(), delivery.delivered), ("daywatch-pager", true));
    assert!(delivery.answer.starts_with("accepted by SNS as m-1 in "), "{}", delivery.answer);
    let body = &stub.seen()[0].body;
    for part in [
        "Action=Publish",
        "TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A1%3Adaywatch-pager",
        "MessageStructure=json",
        "Subject=ALARM%3A%20DiskFull%20web-1",
        "MessageAttributes.entry.1.Name=severity",
        "MessageAttributes.entry.1.Value.StringValue=page",
        "%22sms%22%3A%22short%22",
        "%22email%22%3A%22full%22",
        "%22default%22%3A%22%7B",
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
    assert!(!body.contains("entry.2"), "an empty attribute is left out, SNS would refuse it");
}

#[tokio::test]
async fn a_failed_publish_has_its_class_and_is_not_repeated() {
    for (answer, class) in [
        (error(400, "InvalidParameter"), ErrorClass::Permanent),
        (error(400, "InvalidParameterValue"), ErrorClass::Permanent),
        (error(403, "AuthorizationError"), ErrorClass::Transient),
        (error(404, "NotFound"), ErrorClass::Transient),
        (error(429, "Throttled"), ErrorClass::Transient),
        (error(500, "InternalError"), ErrorClass::Transient),
        (error(400, "KMSDisabled"), ErrorClass::Transient),
        (Answer::Lost, ErrorClass::Transient),
    ] {
        let stub = Stub::script([answer.clone()]);
        let error = topics(&stub).await.publish(&message(Destination::Pager)).await.unwrap_err();
        assert_eq!(error.class, class, "{answer:?}");
        assert_eq!(stub.seen().len(), 1, "a second try may page twice");
    }
}

#[tokio::test]
async fn a_topic_that_is_not_configured_is_named() {
    let stub = Stub::script([]);
    let topics = topics(&stub).await;
    let error = topics.publish(&message(Destination::Mail)).await.unwrap_err();
    assert!(error.what.contains("DAYWATCH_MAIL_TOPIC_ARN is not set"), "{error}");
    assert!(topics.has_topics());
    let none = Topics::new(topics.client.clone(), &Config::default());
    assert!(!none.has_topics());
    assert_eq!(none.subscribers().await, Ok(vec![]));
}

#[test]
fn a_message_has_a_size_in_all_its_forms() {
    let mut large = message(Destination::Pager);
    let overhead = forms(&large).unwrap().len() + "severitypage".len() + "env".len() + 12 - large.email.len();
    large.email = "x".repeat(MESSAGE_BYTES_MAX - overhead);
    assert!(forms(&large).is_ok(), "at the limit");
    large.email.push('x');
    assert_eq!(forms(&large).unwrap_err().class, ErrorClass::Permanent);
}

#[tokio::test]
async fn subscribers_of_all_pages_are_told_without_secrets() {
    let page = |members: &[(&str, &str, &str)], token: &str| {
        let member = |(arn, protocol, endpoint): &(&str, &str, &str)| {
            format!(
                "<member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>{protocol}</Protocol><Endpoint>{endpoint}</Endpoint></member>"
            )
        };
        let members: String = members.iter().map(member).collect();
        Answer::Http(
            200,
            format!(
                "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions>{members}</Subscriptions>{token}</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"
            ),
        )
    };
    let stub = Stub::script([
        page(
            &[("arn:aws:sns:1:a", "https", "https://events.pagerduty.com/integration/SECRET/enqueue")],
            "<NextToken>t</NextToken>",
        ),
        page(&[("PendingConfirmation", "email", "someone@example.com"), ("Deleted", "email", "old@example.com")], ""),
    ]);
    let found = topics(&stub).await.subscribers().await.unwrap();
    let told: Vec<_> = found.iter().map(|one| (one.endpoint.as_str(), one.confirmed)).collect();
    assert_eq!(told, [("https://events.pagerduty.com/…", true), ("s…@example.com", false)]);
    assert!(stub.seen()[1].body.contains("NextToken=t"));
}

#[test]
fn endpoints_are_shown_without_what_is_secret() {
    for (protocol, endpoint, expected) in [
        ("https", "https://user:pw@api.opsgenie.com/v1/json/amazonsns?apiKey=SECRET", "https://api.opsgenie.com/…"),
        ("https", "https://h?apiKey=SECRET", "https://h/…"),
        ("http", "http://10.0.0.1:8080/x", "http://10.0.0.1:8080/…"),
        ("https", "no url SECRET", "…"),
        ("email", "ünal@example.com", "ü…@example.com"),
        ("email-json", "not an address", "…"),
        ("sms", "+15551234567", "…4567"),
        ("sms", "+1555", "…55"),
        ("sms", "", "…"),
        ("sqs", "arn:aws:sqs:eu-central-1:1:queue", "queue"),
        ("lambda", "arn:aws:lambda:eu-central-1:1:function:f", "f"),
        ("application", "arn:aws:sns:eu-central-1:1:endpoint/GCM/app/SECRET", "…"),
    ] {
        assert_eq!(shown(protocol, endpoint), expected);
    }
}
