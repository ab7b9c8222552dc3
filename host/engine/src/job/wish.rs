//! What is wanted of a job's driver.
//!
//! Guarantees that what is wanted only ever becomes more final, in whatever order those who ask come, and that whoever asks
//! is heard, also by a driver that lets go of the job at that moment.

use tokio::sync::watch;
use weir_protocol::id::EntryNumber;

/// What is wanted of a job's driver. Each is more final than those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// The job runs, as this entry of its `spec/` chain says.
    Run(EntryNumber),
    /// The job ends.
    Cancel,
    /// This process lets go of the job, which resumes at the next start.
    Stop,
}

/// What was asked for last, and how often anything was.
#[derive(Debug, Clone, Copy)]
struct Asked {
    wish: Wish,
    times: u64,
}

/// The end of those who ask.
#[derive(Debug)]
pub(crate) struct Asker(watch::Sender<Asked>);

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Wishes {
    asked: watch::Receiver<Asked>,
    /// How often something had been asked for when a wish was taken last.
    taken: u64,
}

/// Both ends.
pub(crate) fn wishes(first: Wish) -> (Asker, Wishes) {
    let (sender, asked) = watch::channel(Asked { wish: first, times: 0 });
    (Asker(sender), Wishes { asked, taken: 0 })
}

impl Asker {
    /// Asks for this, unless something more final is wanted. To ask for the same again wakes a driver that has let go.
    pub(crate) fn ask(&self, wish: Wish) {
        self.ask_and(wish, || ());
    }

    /// The same, and does this before anybody hears of it.
    pub(crate) fn ask_and(&self, wish: Wish, deed: impl FnOnce()) {
        self.0.send_if_modified(|asked| {
            let counts = wish >= asked.wish;
            if counts {
                *asked = Asked { wish, times: asked.times + 1 };
                deed();
            }
            counts
        });
    }
}

impl Wishes {
    /// What is wanted now. A facade that has gone wants the driver to let go.
    pub(crate) fn now(&self) -> Wish {
        if self.is_alone() { Wish::Stop } else { self.asked.borrow().wish }
    }

    /// The same; what is asked for from here on is asked [anew](Self::asked_anew).
    pub(crate) fn take(&mut self) -> Wish {
        let Asked { wish, times } = *self.asked.borrow();
        self.taken = times;
        if self.is_alone() { Wish::Stop } else { wish }
    }

    /// Does this unless anything was asked for since a wish was taken last, be it the same again. Nothing is meanwhile.
    pub(crate) fn unless_asked_anew(&self, deed: impl FnOnce()) {
        let asked = self.asked.borrow();
        if !self.is_alone() && asked.times == self.taken {
            deed();
        }
    }

    fn is_alone(&self) -> bool {
        self.asked.has_changed().is_err()
    }

    /// Waits until something else than `known` is wanted. To run as what came before that is nothing else: the job went
    /// back, and whoever wanted that change has it already. Cancel-safe.
    pub(crate) async fn other_than(&mut self, known: Wish) -> Wish {
        match self.asked.wait_for(|asked| asked.wish > known).await {
            Ok(asked) => asked.wish,
            Err(_gone) => Wish::Stop,
        }
    }

    /// Waits until something was asked for since a wish was taken last, be it the same again. Cancel-safe.
    pub(crate) async fn asked_anew(&mut self) {
        let taken = self.taken;
        // A facade that has gone wants something else, too.
        let _gone = self.asked.wait_for(|asked| asked.times != taken).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const FIRST: Wish = Wish::Run(EntryNumber(0));

    #[test]
    fn what_is_wanted_only_becomes_more_final() {
        let (asker, mut wishes) = wishes(FIRST);
        let next = Wish::Run(EntryNumber(1));
        for (asked, wanted) in [
            (next, next),
            (FIRST, next),
            (Wish::Cancel, Wish::Cancel),
            (next, Wish::Cancel),
            (Wish::Stop, Wish::Stop),
            (Wish::Cancel, Wish::Stop),
        ] {
            asker.ask(asked);
            assert_eq!(wishes.take(), wanted, "after {asked:?}");
        }
        drop(asker);
        assert_eq!(wishes.now(), Wish::Stop, "nobody wants it any more");
    }

    #[test]
    fn a_job_that_went_back_is_wanted_as_what_it_is_now() {
        let (asker, mut wishes) = wishes(Wish::Run(EntryNumber(1)));
        let known = Wish::Run(EntryNumber(2));
        assert_eq!(wishes.other_than(known).now_or_never(), None, "what was undone");
        asker.ask(known);
        assert_eq!(wishes.other_than(known).now_or_never(), None, "what it went back to");
        let next = Wish::Run(EntryNumber(3));
        asker.ask(next);
        assert_eq!(wishes.other_than(known).now_or_never(), Some(next));
    }

    #[test]
    fn what_was_asked_since_wakes_whoever_lets_go_be_it_the_same_again() {
        let (asker, mut wishes) = wishes(FIRST);
        let taken = wishes.take();
        assert_eq!(wishes.asked_anew().now_or_never(), None, "nothing was asked");
        asker.ask(taken);
        assert_eq!(wishes.asked_anew().now_or_never(), Some(()));
        let taken = wishes.take();
        asker.ask(Wish::Cancel);
        assert_eq!(wishes.other_than(taken).now_or_never(), Some(Wish::Cancel));
        assert_eq!(wishes.asked_anew().now_or_never(), Some(()), "though it was seen already");
        let taken = wishes.take();
        asker.ask(taken);
        assert_eq!(wishes.other_than(taken).now_or_never(), None, "it is the same");
        assert_eq!(wishes.asked_anew().now_or_never(), Some(()), "though somebody waited for something else");
    }
}
