use super::said;
use crate::kafka::{Offset, ProducerEpoch, ProducerId};
use crate::plan::WarningCode;
use crate::plan::facts::OpenTransaction;
use crate::plan::testing::{NOW_MS, Scene};

/// The last 20 of 100 offsets are behind an open transaction.
fn held_back() -> Scene {
    let mut scene = Scene::new().topic("t", &[(0, 100)]).group("g", &[("t", 0, 30)]);
    scene.partition("t", 0).last_stable = Offset(80);
    scene
}

fn opened(since_ms: Option<i64>) -> Scene {
    let mut scene = held_back();
    let (producer, epoch) = (ProducerId(4_000), ProducerEpoch(3));
    let open = OpenTransaction { producer, epoch, offset: Offset(80), since_ms };
    scene.partition("t", 0).open_transaction = Some(open);
    scene
}

#[test]
fn an_open_transaction_is_named_with_its_producer_and_the_command_that_aborts_it() {
    assert_eq!(
        said(&opened(Some(NOW_MS + 1)).plan(), WarningCode::OpenTransaction),
        [
            "t/0: 20 offsets behind 80 are held back by an open transaction of producer id 4000, epoch 3, from offset 80 on, \
          since 2026-11-22 00:00:00 UTC; finish it or abort it (kafka-transactions.sh --bootstrap-server 10.0.0.1:9092 \
          abort --topic t --partition 0 --start-offset 80), or move them later with kferry run --extend"
        ]
    );
}

#[test]
fn what_is_not_known_of_an_open_transaction_is_not_said() {
    let mut old = opened(None);
    old.survey.source.list_offsets_version = 6;
    assert_eq!(
        said(&old.plan(), WarningCode::OpenTransaction),
        [
            "t/0: 20 offsets behind 80 are held back by an open transaction of producer id 4000, epoch 3, from offset 80 on; \
          finish or abort it, or move them later with kferry run --extend"
        ],
        "a first record without a timestamp, on a release without the tool"
    );
    assert_eq!(
        said(&held_back().plan(), WarningCode::OpenTransaction),
        [
            "t/0: 20 offsets behind 80 are held back by an open transaction; finish or abort it, or move them later with \
          kferry run --extend"
        ]
    );
}

#[test]
fn a_partition_that_nothing_holds_back_has_no_open_transaction() {
    let scene = Scene::new().topic("t", &[(0, 100)]).group("g", &[("t", 0, 30)]);
    assert!(said(&scene.plan(), WarningCode::OpenTransaction).is_empty());
}
