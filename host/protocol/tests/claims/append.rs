//! Creating one entry in a store that may perform a call or not, and answer or not.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::chain::{Append, AppendStep, CreateOutcome, LookOutcome};
use weir_protocol::id::{EntryNumber, Nonce};

const N: EntryNumber = EntryNumber(3);

fn append(nonce: u128) -> Append {
    Append::new(N, Nonce(nonce), nonce.to_string().into_bytes())
}

/// What becomes of a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Performed and answered.
    Fine,
    /// Performed, but the answer is lost.
    AppliedButLost,
    /// Not performed, and the answer is an error.
    NotApplied,
    /// Answered with an error, and performed at some later moment.
    Late,
}

/// One place of a store, and the creates that are still on their way to it.
#[derive(Debug, Default)]
struct Place {
    stored: Option<Vec<u8>>,
    late: Vec<Vec<u8>>,
}

impl Place {
    fn apply(&mut self, bytes: &[u8]) -> CreateOutcome {
        if self.stored.is_some() {
            return CreateOutcome::AlreadyExists;
        }
        self.stored = Some(bytes.to_vec());
        CreateOutcome::Created
    }

    fn create(&mut self, bytes: &[u8], fate: Fate) -> CreateOutcome {
        match fate {
            Fate::Fine => self.apply(bytes),
            Fate::AppliedButLost => {
                self.apply(bytes);
                CreateOutcome::Unknown
            }
            Fate::NotApplied => CreateOutcome::Unknown,
            Fate::Late => {
                self.late.push(bytes.to_vec());
                CreateOutcome::Unknown
            }
        }
    }

    fn look(&self) -> LookOutcome {
        let nonce = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).parse().expect("the bytes are the nonce");
        self.stored.as_ref().map_or(LookOutcome::Absent, |bytes| LookOutcome::Found(Nonce(nonce(bytes))))
    }

    fn perform(&mut self, append: &mut Append, fate: Fate) {
        match append.step() {
            AppendStep::Create { bytes, .. } => append.on_create(self.create(&bytes, fate)),
            AppendStep::Look { .. } => append.on_look(self.look()),
            AppendStep::Won | AppendStep::Lost => {}
        }
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Fine), Just(Fate::AppliedButLost), Just(Fate::NotApplied), Just(Fate::Late)]
}

#[test]
fn create_without_an_answer_is_followed_by_a_look_and_then_by_the_same_bytes() {
    let mut append = append(1);
    let first = append.step();
    append.on_create(CreateOutcome::Unknown);
    assert_eq!(append.step(), AppendStep::Look { number: N });
    append.on_look(LookOutcome::Absent);
    assert_eq!(append.step(), first);
}

#[test]
fn own_entry_from_an_earlier_try_is_won() {
    let mut append = append(1);
    append.on_create(CreateOutcome::AlreadyExists);
    append.on_look(LookOutcome::Found(Nonce(1)));
    assert_eq!(append.step(), AppendStep::Won);
}

#[test]
fn entry_of_another_is_lost() {
    let mut append = append(1);
    append.on_create(CreateOutcome::AlreadyExists);
    append.on_look(LookOutcome::Found(Nonce(2)));
    assert_eq!(append.step(), AppendStep::Lost);
}

#[test]
#[should_panic(expected = "created out of turn")]
fn answer_out_of_turn_is_refused() {
    let mut append = append(1);
    append.on_create(CreateOutcome::Unknown);
    append.on_create(CreateOutcome::Created);
}

/// One move of a schedule: which writer acts, and what becomes of its create; or a late create arrives.
#[derive(Debug, Clone, Copy)]
enum Move {
    Act(usize, Fate),
    Arrive(prop::sample::Index),
}

proptest! {
    #[test]
    fn exactly_one_writer_wins_a_number_and_every_other_learns_that_it_lost(
        writers in 2_usize..4,
        schedule in vec(prop_oneof![
            4 => (0_usize..4, fate()).prop_map(|(writer, fate)| Move::Act(writer, fate)),
            1 => any::<prop::sample::Index>().prop_map(Move::Arrive),
        ], 0..40),
    ) {
        let mut place = Place::default();
        let mut appends: Vec<Append> = (0..writers as u128).map(append).collect();
        for step in schedule {
            match step {
                Move::Act(writer, fate) => place.perform(&mut appends[writer % writers], fate),
                Move::Arrive(which) if !place.late.is_empty() => {
                    let bytes = place.late.remove(which.index(place.late.len()));
                    place.apply(&bytes);
                }
                Move::Arrive(_) => {}
            }
            let winners: Vec<_> = (0..writers).filter(|writer| appends[*writer].step() == AppendStep::Won).collect();
            prop_assert!(winners.len() <= 1, "{winners:?} all believe that they won");
            for winner in winners {
                prop_assert_eq!(place.look(), LookOutcome::Found(Nonce(winner as u128)));
            }
        }
        // From here on the store is well, and everybody goes on.
        for append in &mut appends {
            while !matches!(append.step(), AppendStep::Won | AppendStep::Lost) {
                place.perform(append, Fate::Fine);
            }
        }
        let LookOutcome::Found(Nonce(winner)) = place.look() else { panic!("somebody won") };
        for (writer, append) in appends.iter().enumerate() {
            let won = if writer as u128 == winner { AppendStep::Won } else { AppendStep::Lost };
            prop_assert_eq!(append.step(), won);
        }
    }
}
