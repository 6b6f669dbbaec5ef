//! Stories of queues on one process; those of members are in tests/conformance/messaging.rs.

mod journals;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;

fn cluster() -> Cluster {
    Cluster::builder("alone").local()
}

fn queue(cluster: &Cluster) -> Queue<String> {
    cluster.queue("/q").most_tries(3).start().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_fails_at_comes_again_after_a_pause_that_grows() {
    let cluster = cluster();
    let queue = queue(&cluster);
    let (said, mut heard) = mpsc::unbounded_channel();
    let begin = tokio::time::Instant::now();
    let _listener = queue.listen(move |message: Received<String>| {
        let said = said.clone();
        async move {
            said.send((message.tries(), begin.elapsed())).unwrap();
            if message.tries() == 2 {
                panic!("the second time")
            }
            Err::<(), _>("not now")
        }
    });
    queue.publish(&"poison".to_owned()).await.unwrap();
    let mut tries = Vec::new();
    for _ in 0..3 {
        tries.push(heard.recv().await.unwrap());
    }
    let pause = |at: usize| tries[at].1 - tries[at - 1].1;
    assert_eq!(tries.iter().map(|(tries, _)| *tries).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(pause(1) >= Duration::from_millis(100) && pause(2) >= Duration::from_millis(200));
    let letters = loop {
        let letters = queue.dead_letters(10).await.unwrap();
        if !letters.is_empty() {
            break letters;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(queue.read(&letters[0]), Ok("poison".to_owned()));
    assert_eq!(queue.requeue(&letters).await, Ok(1));
    assert_eq!(heard.recv().await.unwrap().0, 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_handlers_are_at_work_than_may_be() {
    let cluster = cluster();
    let queue = queue(&cluster);
    let at_work = Arc::new(Mutex::new((0, 0)));
    let (said, mut heard) = mpsc::unbounded_channel();
    let counted = at_work.clone();
    let _listener = queue.listener().concurrency(3).credits(10).start(move |_| {
        let (counted, said) = (counted.clone(), said.clone());
        async move {
            {
                let mut counted = counted.lock();
                counted.0 += 1;
                counted.1 = counted.1.max(counted.0);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            counted.lock().0 -= 1;
            said.send(())
        }
    });
    for number in 0..20 {
        queue.publish(&number.to_string()).await.unwrap();
    }
    for _ in 0..20 {
        heard.recv().await.unwrap();
    }
    assert_eq!(at_work.lock().1, 3);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_ends_gives_back_what_it_has_not_done() {
    let cluster = cluster();
    let queue = queue(&cluster);
    for text in ["one", "two"] {
        queue.publish(&text.to_owned()).await.unwrap();
    }
    let (said, mut heard) = mpsc::unbounded_channel();
    let hangs = queue.listener().credits(2).grace(Duration::from_secs(1)).start(
        move |message: Received<String>| {
            said.send(message.clone()).unwrap();
            std::future::pending::<Result<(), String>>()
        },
    );
    assert_eq!(heard.recv().await.unwrap(), "one");
    hangs.stop().await;
    let (said, mut heard) = mpsc::unbounded_channel();
    let _listener = queue.listen(move |message: Received<String>| {
        let said = said.clone();
        async move { said.send((message.tries(), message.into_inner())) }
    });
    let mut both = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
    both.sort();
    assert_eq!(both, [(1, "two".to_owned()), (2, "one".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_gets_the_answer_or_learns_that_there_is_none() {
    let cluster = cluster();
    let queue = queue(&cluster);
    let wait = Duration::from_secs(2);
    let nobody = queue.request::<usize>(&"early".to_owned(), wait).await;
    assert_eq!(nobody, Err(QueueError::NoAnswer(wait)));
    let _listener = queue.listener().respond(|message: Received<String>| async move {
        if message.is_empty() { Err("nothing to count") } else { Ok(message.len()) }
    });
    assert_eq!(queue.request(&"four".to_owned(), wait).await, Ok(4_usize));
    let failed = queue.request::<usize>(&String::new(), wait).await;
    assert_eq!(failed, Err(QueueError::Failed("nothing to count".to_owned())));
    assert_eq!(queue.stats().await.done, 2);
}

#[tokio::test(start_paused = true)]
async fn leaving_ends_listeners_and_what_is_asked_afterwards_says_so() {
    let cluster = cluster();
    let queue = queue(&cluster);
    let listener = queue.listen(|_: Received<String>| async { Ok::<_, String>(()) });
    cluster.leave().await;
    assert_eq!(queue.publish(&"late".to_owned()).await, Err(QueueError::Closed));
    listener.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_heard_by_who_listens() {
    let cluster = cluster();
    let topic = cluster.topic::<u32>("/topic/news");
    topic.publish(&1).await.unwrap();
    let mut heard = topic.subscribe().await;
    topic.publish(&2).await.unwrap();
    assert_eq!(heard.next().await, Some(Ok(Heard { from: cluster.me().id, value: 2 })));
}
