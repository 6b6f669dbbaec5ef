//! What every engine must do, written against the traits alone. Each section is a file; each test
//! takes some members of one cluster, whatever engine they run on. To bring in another engine: a
//! function that makes so many members, and one more module below.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cables;
mod caches;
mod clusters;
mod commits;
mod components;
mod dispatch;
mod fixture;
mod identities;
mod jobs;
mod joining;
mod leases;
mod maps;
mod memory;
mod queues;
mod sessions;
mod settings;
mod singletons;
mod splits;
mod topics;
mod views;
mod watching;

/// Calls back with every sentence of the suite: those that leave the members as they found them,
/// which may share a cluster, and those that end a member.
macro_rules! every {
    ($then:ident! { $($args:tt)* }) => {
        $then! { $($args)*
            together {
                views: [every_member_sees_the_same_members_oldest_first];
                dispatch: [
                    a_command_is_done_by_the_member_that_was_asked,
                    who_is_not_there_or_lacks_the_service_is_answered_for_at_once,
                    a_handlers_error_and_its_panic_are_answers,
                    a_handler_that_is_late_is_waited_for_no_longer,
                    a_cast_gives_one_answer_for_each_target,
                ];
                topics: [
                    every_listener_hears_every_message_in_the_order_of_its_sender,
                    who_listens_to_another_topic_or_no_more_hears_nothing,
                ];
                maps: [
                    what_one_member_wrote_every_member_reads,
                    a_batch_happens_whole_or_not_at_all,
                    revisions_rise_and_a_stale_one_is_refused,
                    an_entry_goes_when_its_time_is_over_or_when_it_was_idle,
                    a_group_goes_whole_with_the_entry_by_which_it_lives,
                    a_group_that_is_checked_out_stays_until_its_checkout_ends,
                    a_checkout_keeps_others_out_until_its_commit,
                    who_waits_for_a_checkout_gets_it_in_the_order_of_asking,
                    a_checkout_ends_by_itself_and_its_commit_is_fenced,
                    a_kept_checkout_goes_on_and_fences_rise,
                    a_released_checkout_changed_nothing,
                    a_write_with_an_old_token_is_fenced,
                    a_scan_gives_every_entry_once_and_clear_removes_them,
                    a_minted_group_is_owned_where_it_was_minted,
                    all_members_name_the_same_owners,
                    what_a_map_did_and_holds_is_counted,
                    what_is_too_large_is_refused,
                    a_name_stands_for_one_specification,
                    a_local_map_is_each_members_own,
                    a_change_of_an_invalidated_map_drops_the_copies_of_the_others,
                ];
                memory: [
                    no_more_groups_are_in_memory_than_may_be,
                    a_map_of_each_member_s_own_is_bounded_too,
                    what_one_member_s_shelf_does_not_give_comes_from_another,
                    a_shelf_that_is_full_loses_nothing,
                    what_cannot_be_read_is_an_error_and_comes_back,
                ];
                watching: [
                    in_the_whole_cluster_a_change_is_seen_by_one_primary,
                    every_owner_sees_the_changes_of_its_copy,
                    who_watches_for_ends_hears_of_whole_groups_in_order,
                    who_is_far_behind_is_told_how_many_changes_it_missed,
                ];
                leases: [
                    one_member_holds_a_name_and_gives_it_back_by_dropping_it,
                    who_waits_gets_it_with_a_greater_token,
                    two_tasks_of_one_member_never_both_hold_a_name,
                    a_lease_without_a_name_is_refused,
                ];
                queues: [
                    what_was_acknowledged_never_comes_again,
                    what_was_not_done_comes_again_and_says_so,
                    a_consumer_that_is_too_slow_loses_its_message_to_another,
                    no_consumer_has_more_than_its_credits,
                    consumers_share_the_work,
                    a_delayed_message_comes_later_and_a_late_one_never,
                    of_two_with_one_id_only_the_first_counts,
                    messages_of_one_group_come_in_order_one_at_a_time,
                    what_fails_too_often_becomes_a_dead_letter,
                    a_full_queue_refuses,
                    who_stops_waiting_takes_nothing_along,
                    an_older_token_than_the_queue_has_seen_publishes_nothing,
                ];
                clusters: [
                    a_command_is_done_by_one_some_or_all,
                    a_dispatcher_has_its_name_alone_and_is_gone_when_it_is_dropped,
                    every_member_knows_who_offers_a_service,
                    a_caches_group_is_who_has_the_cache,
                ];
                caches: [
                    a_value_is_put_read_compared_and_removed,
                    updates_of_many_at_once_all_count,
                    entries_are_counted_listed_and_cleared,
                    a_group_is_changed_by_one_batch_or_not_at_all,
                    a_lock_keeps_others_out_and_its_commit_ends_it,
                    times_are_the_caches_or_the_puts_own,
                    a_cache_tells_its_changes,
                    a_token_of_an_earlier_holder_is_fenced,
                    a_later_releases_value_is_an_error_that_says_so,
                    a_name_is_one_cache_of_one_kind,
                ];
                components: [
                    every_call_of_a_component_counts_whichever_member_makes_it,
                    a_component_that_is_checked_out_keeps_other_calls_waiting,
                    what_the_hooks_change_is_kept,
                    a_component_without_passivation_is_its_members_own,
                    a_component_goes_when_it_is_removed_or_idle,
                    a_component_that_is_one_too_many_goes_to_its_store_and_comes_back,
                    a_call_that_cannot_be_written_changes_nothing,
                    a_handle_is_kept_in_a_session,
                ];
                jobs: [
                    each_firing_is_done_once_in_the_cluster_under_a_token_that_rises,
                    a_run_that_fails_on_one_member_is_done_by_another,
                    on_every_node_each_member_does_it_for_itself,
                    an_operator_runs_pauses_and_resumes_a_job,
                    a_job_that_cannot_be_is_refused,
                ];
                settings: [
                    what_one_member_sets_every_member_reads_and_is_told_of,
                    what_is_refused_changes_nothing,
                    changes_of_many_at_once_all_count_and_are_remembered,
                ];
                identities: [
                    who_logs_in_once_is_known_everywhere_until_a_logout,
                    a_session_that_is_ended_is_a_logout_and_a_new_id_is_not,
                    a_session_whose_time_is_over_leaves_and_the_last_one_ends_it,
                    an_identity_that_nobody_asks_for_ends,
                    a_session_of_somebody_else_is_not_handed_on,
                    an_application_that_nobody_serves_leaves_identities,
                ];
                singletons: [
                    one_member_runs_a_service_and_every_member_finds_it,
                    who_undeploys_it_hands_it_on_in_the_order_of_age,
                    an_operator_moves_it_and_its_policy_takes_it_back,
                    below_its_quorum_it_stops_everywhere_at_once,
                    a_setting_of_its_policy_counts_on_every_member_at_once,
                    who_fails_or_panics_gives_it_to_another_and_is_asked_again,
                    a_stop_that_hangs_is_cut_off_and_holds_up_no_other,
                    a_daemon_starts_and_stops_on_one_member_or_on_every_one,
                ];
                commits: [
                    a_request_with_session_identity_and_component_makes_one_commit_each,
                ];
            }
            apart {
                views: [
                    who_leaves_is_gone_for_the_others,
                    after_its_end_an_engine_says_that_it_is_closed,
                ];
                dispatch: [who_leaves_during_a_call_is_answered_for_at_once];
                leases: [a_lease_ends_with_its_engine];
                clusters: [who_leaves_takes_its_services_along_and_listeners_hear_of_it];
                components: [a_component_goes_on_when_a_member_leaves];
                identities: [an_identity_stands_when_the_member_that_took_the_login_leaves];
                singletons: [who_leaves_stops_its_singletons_first_and_another_goes_on];
            }
        }
    };
}

/// A test for each sentence, on a cluster of its own: for an engine that starts at once.
macro_rules! each_apart {
    (#[$test:meta], $make:path, $members:expr;
     $($how:ident { $($section:ident: [$($sentence:ident),+ $(,)?];)+ })+) => {
        $(mod $how { $(mod $section {
            $(each_apart! { @one #[$test], $make, $members, $section, $sentence })+
        })+ })+
    };
    (@one #[$test:meta], $make:path, $members:expr, $section:ident, $sentence:ident) => {
        #[$test]
        async fn $sentence() {
            let cluster = $make($members).await;
            crate::$section::$sentence(&cluster).await;
            cluster.end().await;
        }
    };
}

/// One test for all sentences that may share a cluster: for an engine whose members must find each
/// other first.
macro_rules! some_together {
    (#[$test:meta], $make:path, $members:expr;
     together { $($section:ident: [$($sentence:ident),+ $(,)?];)+ }
     apart { $($apart:tt)+ }) => {
        #[$test]
        async fn what_leaves_the_members_as_they_are() {
            let cluster = $make($members).await;
            $($(
                // Shown when it fails.
                println!("{}: {}", stringify!($section), stringify!($sentence));
                Box::pin(crate::$section::$sentence(&cluster)).await;
            )+)+
            cluster.end().await;
        }
        each_apart! { #[$test], $make, $members; apart { $($apart)+ } }
    };
}

mod on_local {
    every! { each_apart! { #[tokio::test(start_paused = true)], crate::fixture::local, 1; } }
}

mod on_embedded_alone {
    every! { some_together! { #[tokio::test(flavor = "multi_thread")], crate::fixture::embedded, 1; } }
}

mod on_embedded_by_two {
    every! { some_together! { #[tokio::test(flavor = "multi_thread")], crate::fixture::embedded, 2; } }
}

mod on_embedded_by_three {
    every! { some_together! { #[tokio::test(flavor = "multi_thread")], crate::fixture::embedded, 3; } }
}
