//! The topic that tests are given.

use super::*;

fn message(destination: Destination) -> Message {
    Message {
        destination,
        subject: "ALARM: x web-1".to_owned(),
        attributes: vec![],
        default: r#"{"version":"4"}"#.to_owned(),
        email: "mail".to_owned(),
        sms: "sms".to_owned(),
    }
}

#[tokio::test]
async fn a_memory_topic_answers_as_it_was_told() {
    let topic = MemoryTopic::default();
    let refusal = PortError::transient("topic", "busy");
    topic.answer_with([Err(refusal.clone()), Ok(())]);
    let message = message(Destination::Webhook { url: "http://u:p@host/x?q".to_owned() });
    assert_eq!(topic.publish(&message).await, Err(refusal));
    assert_eq!(topic.publish(&message).await.unwrap().to, "http://host/x");
    assert_eq!(topic.publish(&message).await.map(|delivery| delivery.delivered), Ok(true));
    assert_eq!(topic.published().len(), 2);
    assert_eq!(topic.take_published(), [message.clone(), message]);
    assert_eq!(topic.published(), []);
}

#[tokio::test]
async fn topics_are_there_when_they_are_switched_on() {
    let topic = MemoryTopic::default();
    for destination in [Destination::Pager, Destination::Mail] {
        let refused = topic.publish(&message(destination.clone())).await.unwrap_err();
        assert_eq!((topic.has_topics(), refused.class), (false, ports::ErrorClass::Permanent));
        topic.set_has_topics(true);
        assert!(topic.publish(&message(destination)).await.unwrap().delivered && topic.has_topics());
        topic.set_has_topics(false);
    }
    assert_eq!(topic.subscribers().await, Ok(vec![]));
    let one = Subscriber {
        destination: Destination::Pager,
        protocol: "https".to_owned(),
        endpoint: "https://events.example/…".to_owned(),
        confirmed: false,
    };
    topic.set_subscribers(Ok(vec![one.clone()]));
    assert_eq!(topic.subscribers().await, Ok(vec![one]));
    let down = PortError::transient("topic", "throttled");
    topic.set_subscribers(Err(down.clone()));
    assert_eq!(topic.subscribers().await, Err(down));
}
