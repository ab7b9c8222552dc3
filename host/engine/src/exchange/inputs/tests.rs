use futures::FutureExt;
use weir_operator::batch::Batch;

use super::super::{ChannelSender, channel};
use super::*;

fn inputs(count: u32) -> (Vec<ChannelSender>, Inputs) {
    let (senders, channels) = (0..count)
        .map(|input| {
            let (sender, receiver) = channel();
            (sender, InputChannel { input, receiver })
        })
        .unzip();
    (senders, Inputs::new(channels))
}

fn send(sender: &ChannelSender, element: Element) {
    sender.send_with(|| element).now_or_never().expect("there is room").expect("the receiver lives");
}

fn batch(rows: u32) -> Element {
    Element::Batch(Batch { rows, ..Batch::default() })
}

#[test]
fn busy_channels_are_served_in_turn() {
    let (senders, mut inputs) = inputs(3);
    for sender in &senders {
        send(sender, batch(1));
        send(sender, batch(2));
    }
    let order: Vec<usize> = (0..6).map(|_| inputs.try_next().unwrap().unwrap().0.0).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    assert_eq!(inputs.try_next(), Ok(None));
}

#[test]
fn a_blocked_channel_keeps_what_it_holds() {
    let (senders, mut inputs) = inputs(2);
    send(&senders[0], batch(1));
    inputs.block(InputIndex(0));
    assert_eq!(inputs.try_next(), Ok(None));
    assert!(inputs.next().now_or_never().is_none());
    send(&senders[1], Element::Idle);
    assert_eq!(inputs.try_next(), Ok(Some((InputIndex(1), Element::Idle))));
    inputs.unblock_all();
    assert_eq!(inputs.try_next(), Ok(Some((InputIndex(0), batch(1)))));
}

#[test]
fn the_end_of_all_channels_is_not_an_abandoned_one() {
    let (mut senders, mut inputs) = inputs(2);
    send(&senders[0], Element::End);
    drop(senders.remove(0));
    assert_eq!(inputs.try_next(), Ok(Some((InputIndex(0), Element::End))));
    assert!(!inputs.have_ended());
    assert_eq!(inputs.next().now_or_never(), None);
    drop(senders);
    assert_eq!(inputs.next().now_or_never(), Some(Err(Abandoned(InputIndex(1)))));
    assert_eq!(inputs.try_next(), Err(Abandoned(InputIndex(1))));
}

#[test]
fn after_the_last_end_there_is_nothing() {
    let (senders, mut inputs) = inputs(1);
    send(&senders[0], Element::End);
    assert_eq!(inputs.next().now_or_never(), Some(Ok(Some((InputIndex(0), Element::End)))));
    assert!(inputs.have_ended());
    assert_eq!(inputs.next().now_or_never(), Some(Ok(None)));
    assert_eq!(inputs.try_next(), Ok(None));
}

#[test]
fn a_dropped_next_takes_nothing() {
    let (senders, mut inputs) = inputs(1);
    assert!(inputs.next().now_or_never().is_none());
    send(&senders[0], batch(1));
    assert_eq!(inputs.next().now_or_never(), Some(Ok(Some((InputIndex(0), batch(1))))));
}
