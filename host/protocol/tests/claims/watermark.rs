//! The merger of watermarks, by example and against a plain reference.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::time::{END_OF_TIME, NO_TIME};
use weir_protocol::watermark::{Merged, WatermarkMerge};

#[test]
fn slowest_input_holds_the_watermark() {
    let mut merge = WatermarkMerge::new(2, NO_TIME);
    assert_eq!(merge.on_watermark(0, 10), Merged::Unchanged);
    assert_eq!(merge.on_watermark(1, 7), Merged::Advanced(7));
    assert_eq!(merge.on_watermark(1, 12), Merged::Advanced(10));
}

#[test]
fn idle_input_holds_nothing_up_and_comes_back_without_taking_time_back() {
    let mut merge = WatermarkMerge::new(2, NO_TIME);
    merge.on_watermark(0, 10);
    assert_eq!(merge.on_idle(1), Merged::Advanced(10));
    assert_eq!(merge.on_watermark(1, 3), Merged::Unchanged);
    assert_eq!(merge.current(), 10);
    assert_eq!(merge.on_watermark(0, 20), Merged::Unchanged, "the returned input counts again");
}

#[test]
fn task_is_idle_once_all_its_running_inputs_are() {
    let mut merge = WatermarkMerge::new(3, NO_TIME);
    merge.on_end(2);
    assert_eq!(merge.on_idle(0), Merged::Unchanged);
    assert_eq!(merge.on_idle(1), Merged::Idle);
    assert_eq!(merge.on_idle(1), Merged::Unchanged, "said once");
    merge.on_active(0);
    assert_eq!(merge.on_idle(0), Merged::Idle, "said again after something came");
}

#[test]
fn ended_input_holds_nothing_up_and_after_the_last_one_time_is_over() {
    let mut merge = WatermarkMerge::new(2, NO_TIME);
    merge.on_watermark(0, 5);
    assert_eq!(merge.on_end(1), Merged::Advanced(5));
    assert_eq!(merge.on_end(0), Merged::Advanced(END_OF_TIME));
}

#[test]
fn end_of_one_input_is_not_the_end_of_time_while_another_is_idle() {
    let mut merge = WatermarkMerge::new(2, NO_TIME);
    merge.on_watermark(0, 5);
    assert_eq!(merge.on_idle(1), Merged::Advanced(5));
    assert_eq!(merge.on_watermark(0, END_OF_TIME), Merged::Unchanged, "the idle input may come back");
    assert_eq!(merge.on_end(0), Merged::Idle);
    assert_eq!(merge.on_watermark(1, 7), Merged::Advanced(7));
    assert_eq!(merge.on_end(1), Merged::Advanced(END_OF_TIME));
}

#[test]
fn restored_watermark_is_not_gone_below() {
    let mut merge = WatermarkMerge::new(1, 100);
    assert_eq!(merge.on_watermark(0, 50), Merged::Unchanged);
    assert_eq!(merge.current(), 100);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Watermark(i64),
    Idle,
    Active,
    End,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (-50_i64..50).prop_map(Event::Watermark),
        1 => Just(Event::Idle),
        1 => Just(Event::Active),
        1 => Just(Event::End),
    ]
}

proptest! {
    #[test]
    fn merged_watermark_is_the_highest_that_the_least_active_input_ever_was(
        inputs in 1_usize..5,
        events in vec((any::<prop::sample::Index>(), event()), 0..80),
    ) {
        let mut merge = WatermarkMerge::new(inputs, NO_TIME);
        // The reference: (watermark, counts, ended) of each input, and the highest minimum so far.
        let mut plain = vec![(NO_TIME, true, false); inputs];
        let mut highest = NO_TIME;
        for (pick, event) in events {
            let input = pick.index(inputs);
            if plain[input].2 {
                continue;
            }
            let before = merge.current();
            let merged = match event {
                Event::Watermark(at) => {
                    plain[input] = (plain[input].0.max(at), true, false);
                    merge.on_watermark(input, at)
                }
                Event::Idle => {
                    plain[input].1 = false;
                    merge.on_idle(input)
                }
                Event::Active => {
                    plain[input].1 = true;
                    merge.on_active(input)
                }
                Event::End => {
                    plain[input] = (plain[input].0, false, true);
                    merge.on_end(input)
                }
            };
            let least = plain.iter().filter(|input| input.1).map(|input| input.0).min();
            let all_ended = plain.iter().all(|input| input.2);
            highest = highest.max(least.unwrap_or(if all_ended { END_OF_TIME } else { NO_TIME }));
            prop_assert_eq!(merge.current(), highest);
            prop_assert_eq!(merged == Merged::Advanced(highest), highest > before);
        }
    }
}
