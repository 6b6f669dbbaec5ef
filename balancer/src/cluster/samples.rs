//! A cluster for tests of what is shown.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Cluster, Clusters};

pub(crate) fn member(name: &str, state: &str) -> Value {
    json!({
        "name": name, "node": format!("{:032x}", name.len()), "life": 1,
        "address": "127.0.0.1:7700", "state": state, "error": null, "age_ms": 65_000,
        "join": 1, "weight": 100, "primary": 128, "owned": 256, "filling": 0,
        "entries": 1_234, "bytes": 5_678_901
    })
}

fn cache_member(name: &str) -> Value {
    json!({
        "member": name,
        "distribution": {"entries": 10, "primary_entries": 5, "bytes": 1000},
        "operations": {"hits": 7, "misses": 3, "puts": 11, "removes": 1, "expired": 2},
        "rpc": {"count": 21, "failures": 1},
        "batches": {"prepares": 4, "commits": 3, "rollbacks": 1}
    })
}

fn deployment_member(name: &str) -> Value {
    let mut member = cache_member(name);
    member["lives"] = json!({
        "active": 8, "copies": 16, "created": 13, "invalidated": 3, "expired": 2, "calls": 40,
        "passivated": 1, "activated": 1
    });
    member
}

/// A cluster of two, one of which does not answer.
pub(crate) fn cluster() -> Cluster {
    let report = json!({
        "name": "shop", "engine": "embedded", "me": "one", "coordinator": "one", "view": "e4/n1",
        "quorum": {"needed": 2, "known": ["one", "two", "three"], "is_quorate": true},
        "segments": 512, "members": [member("one", "up"), member("two", "silent")],
        "lost_rows": 3, "merges": 1, "overridden": 2,
        "history": [{
            "at_ms": 1_796_000_000_000_u64, "view": "e4/n1", "members": ["one", "two"],
            "reason": "two came", "is_quorate": true, "views": 2, "settled_ms": 12
        }],
        "warnings": [{"kind": "lost", "text": "3 segments began empty"}]
    });
    let caches = json!({
        "caches": [{
            "name": "counters", "mode": "distributed", "entries": 10, "bytes": 2000,
            "view": ["one", "two"], "members": [cache_member("one"), cache_member("two")]
        }],
        "silent": []
    });
    let deployments = json!({
        "deployments": [{
            "kind": "web", "name": "shop", "mode": "distributed", "active": 8, "bytes": 2000,
            "view": ["one"], "members": [deployment_member("one")]
        }],
        "silent": ["two"]
    });
    let singletons = json!({
        "singletons": [{
            "name": "timer", "kind": "daemon", "is_everywhere": false, "policy": "simple(0)",
            "policy_name": "default", "quorum": 1, "provider": "one", "token": "4.17",
            "elected": "one", "no_provider": null, "moved": null, "candidates": ["one", "two"],
            "members": [{"member": "one", "state": "running", "token": "4.17", "starts": 3}],
            "history": [{"at_ms": 1_796_000_000_000_u64, "member": "one", "text": "one is elected"}]
        }]
    });
    let jobs = json!({
        "jobs": [{
            "name": "report", "schedule": "every 10s", "is_paused": false, "members": ["one"],
            "through_ms": 1_796_000_000_000_i64, "next_ms": 1_796_000_010_000_i64,
            "open": [{
                "at_ms": 1_796_000_000_000_i64, "is_wished": true, "tries": 1, "member": "one",
                "token": "4.18", "error": null
            }],
            "done": 7, "failed": 1, "missed": 0, "skipped": 0, "failures": 2, "lost": 1,
            "history": [{
                "at_ms": 1_796_000_000_000_i64, "ended_ms": 1_796_000_000_500_i64,
                "outcome": "done", "tries": 1, "lost": 0, "member": "one", "token": "4.17",
                "took_ms": 12, "error": null
            }]
        }]
    });
    let queues = json!({
        "queues": [{
            "name": "/queue/msg", "home": "one", "members": ["one"],
            "settings": {
                "most": 1000, "visibility_ms": 30_000, "most_tries": 10, "dedup_window_ms": 120_000
            },
            "numbers": {
                "ready": 3, "in_flight": 2, "dead": 1, "published": 60, "duplicates": 4,
                "delivered": 61, "redelivered": 7, "done": 54, "expired": 0, "buried": 1
            },
            "consumers": [{"member": "one", "consumers": 2, "in_flight": 2}]
        }],
        "silent": []
    });
    let settings = json!({
        "version": 7,
        "settings": [{
            "key": "shop.limits.carts", "value": "250", "version": 7,
            "at_ms": 1_796_000_000_000_u64, "by": "ann", "default": "100",
            "bound": "a whole number from 1 to 1000", "problem": null
        }],
        "known": [{
            "key": "shop.limits.carts", "bound": "a whole number from 1 to 1000",
            "default": "100", "about": "carts of a user"
        }]
    });
    let history = json!({
        "version": 7,
        "changes": [{
            "version": 7, "at_ms": 1_796_000_000_000_u64, "by": "ann",
            "key": "shop.limits.carts", "old": null, "new": "250"
        }]
    });
    let events = json!({
        "events": [{
            "at_ms": 1_796_000_000_000_u64, "kind": "singleton",
            "text": "timer started on one with token 4.17", "members": ["one"]
        }],
        "silent": []
    });
    Cluster {
        name: "shop".to_owned(),
        asked: "http://127.0.0.1:7790".to_owned(),
        answered_ms: Some(1_796_000_000_000),
        error: None,
        report: Some(Arc::new(serde_json::from_value(report).unwrap())),
        caches: Some(Arc::new(serde_json::from_value(caches).unwrap())),
        deployments: Some(Arc::new(serde_json::from_value(deployments).unwrap())),
        singletons: Some(Arc::new(serde_json::from_value(singletons).unwrap())),
        jobs: Some(Arc::new(serde_json::from_value(jobs).unwrap())),
        queues: Some(Arc::new(serde_json::from_value(queues).unwrap())),
        settings: Some(Arc::new(serde_json::from_value(settings).unwrap())),
        settings_history: Some(Arc::new(serde_json::from_value(history).unwrap())),
        events: Some(Arc::new(serde_json::from_value(events).unwrap())),
        events_whole_ms: None,
        nodes: vec!["n1".to_owned()],
    }
}

impl Clusters {
    pub(crate) fn put(&self, cluster: Cluster) {
        self.lock().insert(cluster.name.clone(), cluster);
    }
}
