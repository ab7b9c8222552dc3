//! What only a component can do: use up memory and CPU time, and look at the world through WASI.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

wit_bindgen::generate!({
    inline: "
        package weir:odd;

        world chance {
            import wasi:random/random@0.2.6;
        }

        package wasi:random@0.2.6 {
            interface random {
                get-random-bytes: func(len: u64) -> list<u8>;
                get-random-u64: func() -> u64;
            }
        }
    ",
    world: "chance",
    generate_all,
});

/// Carries out a command; what was seen, for the row. `None`: there is no such command.
#[expect(clippy::disallowed_methods, reason = "what WASI does with it is tested")]
pub fn see(verb: &str, rest: &str) -> Option<String> {
    match verb {
        "spin" => turn(u64::MAX),
        "work" => turn(rest.parse::<u64>().expect("a number") * 1_000),
        "grow" => loop {
            std::mem::forget(black_box(vec![1_u8; 1 << 20]));
        },
        "grow-to" => std::mem::forget(black_box(vec![1_u8; rest.parse::<usize>().expect("MiB") << 20])),
        "sleep" => std::thread::sleep(Duration::from_millis(1)),
        "exit" => std::process::exit(3),
        "print" => {
            println!("{rest}");
            eprintln!("{rest}, again");
        }
        "random" => return Some(wasi::random::random::get_random_u64().to_string()),
        "clock" => return Some(clock()),
        "environment" => {
            return Some(format!("{} {}", std::env::vars().count(), std::env::args().count()));
        }
        "files" => {
            let read = std::fs::read_dir("/").is_ok() || std::fs::File::create("/x").is_ok();
            return Some(format!("{read}"));
        }
        _ => return None,
    }
    Some("done".to_owned())
}

fn turn(times: u64) {
    let mut turns = 0_u64;
    while black_box(turns) < times {
        turns += 1;
    }
}

#[expect(clippy::disallowed_methods, reason = "what WASI does with it is tested")]
fn clock() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch").as_millis();
    let start = Instant::now();
    turn(100_000);
    format!("{now} {}", start.elapsed().as_nanos())
}
