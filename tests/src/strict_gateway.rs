//! The strict gateway, limit by limit before a server that echoes, and the real agent and a page
//! before a real server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tests::gateway::{FRAME_BYTES_MAX, Gateway, LIFE, Limits, MESSAGE_BYTES_MAX, Statistics};
use tests::{Agent, Page, Server, until};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server that keeps what it hears, and says it back.
struct Echo {
    base_url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let hears = hears.clone();
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                    while let Some(Ok(message)) = socket.next().await {
                        if let Message::Text(text) = message {
                            hears.lock().unwrap().push(text.to_string());
                            let _ = socket.send(Message::Text(text)).await;
                        }
                    }
                });
            }
        });
        Self { base_url, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn open(gateway: &Gateway) -> Socket {
    tokio_tungstenite::connect_async(gateway.websocket_url()).await.unwrap().0
}

/// The code that a connection ends with.
async fn end(socket: &mut Socket) -> Option<CloseCode> {
    loop {
        match tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("an end within 30 s") {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

/// A text in frames of at most so many bytes.
fn frames(bytes: usize, of: usize) -> Vec<Message> {
    let count = bytes.div_ceil(of);
    let frame = |number: usize| {
        let size = of.min(bytes - number * of);
        let kind = if number == 0 { Data::Text } else { Data::Continue };
        Message::Frame(Frame::message(vec![b'x'; size], OpCode::Data(kind), number + 1 == count))
    };
    (0..count).map(frame).collect()
}

#[tokio::test]
async fn frames_and_messages_at_their_limits_and_one_past_them() {
    let echo = Echo::new().await;
    let gateway = Gateway::before(&echo.base_url, None, Limits::default()).await;
    let mut socket = open(&gateway).await;
    for message in
        frames(FRAME_BYTES_MAX, FRAME_BYTES_MAX).into_iter().chain(frames(MESSAGE_BYTES_MAX, FRAME_BYTES_MAX))
    {
        socket.send(message).await.unwrap();
    }
    until("both messages are heard", async || (echo.heard().len() == 2).then_some(())).await;
    assert_eq!(echo.heard().iter().map(String::len).collect::<Vec<_>>(), [FRAME_BYTES_MAX, MESSAGE_BYTES_MAX]);
    let statistics = &gateway.statistics;
    until("both messages are back", async || (statistics.of(|s| &s.messages_out) == 2).then_some(())).await;
    assert_eq!([statistics.of(|s| &s.units_in), statistics.of(|s| &s.units_out)], [1 + 4, 1 + 4]);

    for past in [frames(FRAME_BYTES_MAX + 1, FRAME_BYTES_MAX + 1), frames(MESSAGE_BYTES_MAX + 1, FRAME_BYTES_MAX)] {
        let mut socket = open(&gateway).await;
        for message in past {
            // The gateway may have ended it already.
            let _ = socket.send(message).await;
        }
        assert_eq!(end(&mut socket).await, Some(CloseCode::Size));
    }
    assert_eq!((echo.heard().len(), statistics.of(|s| &s.cut_large)), (2, 2));
}

#[tokio::test]
async fn a_binary_frame_ends_the_connection() {
    let echo = Echo::new().await;
    let gateway = Gateway::before(&echo.base_url, None, Limits::default()).await;
    let mut socket = open(&gateway).await;
    socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(end(&mut socket).await, Some(CloseCode::Unsupported));
    assert_eq!((echo.heard().len(), gateway.statistics.of(|s| &s.cut_binary)), (0, 1));
}

#[tokio::test]
async fn an_idle_connection_is_cut_and_pings_are_no_messages() {
    let echo = Echo::new().await;
    let limits = Limits { idle: Duration::from_millis(400), ..Limits::default() };
    let gateway = Gateway::before(&echo.base_url, None, limits).await;
    let mut socket = open(&gateway).await;
    let started = tokio::time::Instant::now();
    socket.send(Message::Ping(Vec::new().into())).await.unwrap();
    assert_eq!(end(&mut socket).await, Some(CloseCode::Away));
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert_eq!(gateway.statistics.of(|s| &s.cut_idle), 1);
}

#[tokio::test]
async fn every_connection_is_cut_at_its_age_however_busy_it_is() {
    let echo = Echo::new().await;
    let limits = Limits { life: Duration::from_millis(600), ..Limits::default() };
    let gateway = Gateway::before(&echo.base_url, None, limits).await;
    let mut socket = open(&gateway).await;
    let (mut writer, mut reader) = (&mut socket).split();
    let talking = async {
        loop {
            if writer.send(Message::text("x")).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = async {
        loop {
            match reader.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    let code = tokio::select! { () = talking => None, code = ended => code };
    assert_eq!((code, gateway.statistics.of(|s| &s.cut_old)), (Some(CloseCode::Away), 1));
}

#[tokio::test]
async fn of_two_messages_the_second_may_be_handled_first() {
    let echo = Echo::new().await;
    let limits = Limits { overtake: Duration::from_secs(20), ..Limits::default() };
    let gateway = Gateway::before(&echo.base_url, None, limits).await;
    let mut socket = open(&gateway).await;
    for text in ["1", "2", "3", "4", "5"] {
        socket.send(Message::text(text)).await.unwrap();
    }
    until("five are heard", async || (echo.heard().len() >= 4).then_some(())).await;
    // The fifth is odd again and goes at once; nothing is lost.
    socket.close(None).await.unwrap();
    until("all are heard", async || (echo.heard().len() == 5).then_some(())).await;
    let heard = echo.heard();
    assert_eq!(heard[..3], ["1", "3", "2"], "{heard:?}");
    assert!(gateway.statistics.of(|s| &s.overtaken) >= 1);
}

#[tokio::test]
async fn new_connections_are_limited_and_the_next_second_is_another_one() {
    let echo = Echo::new().await;
    let limits = Limits { connections_per_second: 3, ..Limits::default() };
    let gateway = Gateway::before(&echo.base_url, None, limits).await;
    let mut open_ones = Vec::new();
    let mut refused = None;
    for _ in 0..20 {
        match tokio_tungstenite::connect_async(gateway.websocket_url()).await {
            Ok((socket, _)) => open_ones.push(socket),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(open_ones.len() >= 3, "{}", open_ones.len());
    let Some(Error::Http(answer)) = refused else { panic!("{refused:?}") };
    assert_eq!((answer.status().as_u16(), gateway.statistics.of(|s| &s.throttled)), (429, 1));
    until("there is room again", async || tokio_tungstenite::connect_async(gateway.websocket_url()).await.ok()).await;
}

const CONFIG: &str = "[host]\nenabled = false\n[buffer]\nflush = \"300ms\"\n";
/// Two hours in six seconds.
const FASTER: u32 = 1_200;
/// Planned reconnects that are waited for.
const RECONNECTS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_reconnects_by_plan_before_it_is_cut_and_loses_nothing() {
    let (_server, mut place) = Server::started("gate").await;
    // Longer than the agent's flushes are apart, so that they do overtake each other.
    let limits = Limits { life: LIFE / FASTER, overtake: Duration::from_millis(700), ..Limits::default() };
    let gateway = Gateway::before(&place.base_url, None, limits).await;
    place.base_url = gateway.base_url();
    let mut page = Page::open(&place).await;
    page.subscribe("1", &["{__name__=\"gate.line\"}"]).await;
    let mut agent = Agent::new(&place, "gate", CONFIG);
    agent.start();
    agent.connected().await;
    let statistics = &gateway.statistics;
    let mut sent = 0;
    until("the agent has reconnected", async || {
        agent.send_lines(&format!("gate.line;n={sent} {sent}\n")).await;
        sent += 1;
        let planned = statistics.of(|s: &Statistics| &s.ended_by_client);
        (planned >= RECONNECTS).then_some(())
    })
    .await;
    until("every line is there", async || {
        let count = place.number("count({__name__=\"gate.line\"})").await;
        (count == Some(f64::from(sent))).then_some(())
    })
    .await;
    println!("{sent} lines over {statistics:?}");
    let cut = [statistics.of(|s| &s.cut_large), statistics.of(|s| &s.cut_binary), statistics.of(|s| &s.cut_idle)];
    assert_eq!(cut, [0, 0, 0]);
    // The page has no plan: it is cut once or twice. The agent never is.
    let lives = statistics.of(|s| &s.cut_old);
    assert!(lives <= 1, "{lives} connections were cut");
    assert!(statistics.of(|s| &s.connections) > RECONNECTS && statistics.of(|s| &s.overtaken) > 0);
}
