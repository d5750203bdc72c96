"""Which test shows what docs/differences.md says, row by row and sentence by sentence.

A row is known by the beginning of its first cell, or of its first two where the first is not enough;
a paragraph by its beginning. A test is `file::name` below `tests/`, or a scenario's file.
"""

_ZONE = "server/test_zone.py::test_"
_STALE = "server/test_zone_stale.py::test_"
_BOUNDS = "server/test_zone_bounds.py::test_"
_QUERY = "wire/test_query.py::test_"
_READER = "wire/test_reader.py::test_"
_REPLY = "wire/test_reply.py::test_"
_INPUT = "system/test_agent_input.py::test_"
_STREAMS = "system/test_agent_streams.py::test_"
_SEGMENT = "cache/test_segment.py::test_"
_HTTP = "forward/transport/test_doh.py::test_"
_TRAFFIC = "system/test_host_traffic.py::test_"
_REPAIRS = "system/test_host_repairs.py::test_"
_SOURCE = "config/test_source.py::test_"
_RENDERING = "config/test_rendering.py::test_"
_KUBE_DNS = "corefile/test_kubedns.py::test_"
_DIRECTIVES = "server/directives/test_"
_REWRITE = "server/directives/rewrite/test_rewrite.py::test_"

DIFFERENCES: dict[str, tuple[str, ...]] = {
    # Answers
    "A negative answer is kept": (_READER + "a_negative_answer_lives_for_the_lower_of_the_soas_ttl_and_minimum",),
    "A cached SERVFAIL hides": (
        _ZONE + "a_failure_never_hides_an_answer_that_is_good",
        _INPUT + "another_class_is_asked_apart",
        _ZONE + "one_clients_ad_is_not_lost_by_another_who_did_not_ask",
    ),
    "Nothing is fetched ahead": ("scenarios/prefetch_popular_names.rpl", "cache/test_freshness.py::test_what_is_asked_for_is_fetched_again_near_its_end"),
    "Each step of a client's search list": (
        "server/test_search_ahead.py::test_a_search_costs_two_waits_where_it_cost_one_a_step",
        "server/test_search_ahead.py::test_upstream_is_asked_the_same_questions_as_without",
    ),
    "`prefetch` begins when": ("cache/test_freshness.py::test_a_tenth_is_a_tenth_however_short_the_ttl", "scenarios/prefetch_of_a_short_ttl.rpl"),
    "A failure behind a stale answer": (_STALE + "a_failure_is_remembered_for_a_second_behind_a_stale_answer",),
    "A stale answer is sent on although": (_STALE + "an_answer_that_may_not_be_kept_ends_the_stale_one", _STALE + "a_stale_answer_is_better_than_one_that_is_not_whole_or_not_valid"),
    "A `cache` without TTLs": ("worker/test_assembly.py::test_denials_are_kept_as_long_as_coredns_does_but_for_the_clusters_own",),
    "CoreDNS 1.14.7, unlike 1.13.2": (_READER + "answers_are_sorted_as_coredns_does",),
    "Equal questions at the same moment": (_ZONE + "equal_misses_are_one_question_upstream", "scenarios/cache_equal_misses_join.rpl"),
    "One cache a block": (
        _SEGMENT + "the_budget_holds_over_all_zones",
        _SEGMENT + "what_is_past_all_use_goes_before_what_is_not",
        _SEGMENT + "a_scan_of_names_asked_once_pushes_out_nobody_who_is_asked_for",
        _SEGMENT + "a_segment_holds_its_capacity_and_no_more",
    ),
    "Stale answers only where": (
        "scenarios/stale_when_upstream_fails.rpl",
        "scenarios/stale_while_upstream_is_silent.rpl",
        _STALE + "without_stale_answers_an_expired_one_is_a_miss",
    ),
    "An upstream's reply that does not fit": (
        "scenarios/forward_wrong_id_is_waited_out.rpl",
        _INPUT + "an_upstream_that_always_misbehaves_is_a_servfail_that_says_why",
        "scenarios/forward_errors_without_a_question.rpl",
    ),
    "The upstream's EDNS options": (_ZONE + "upstreams_extended_errors_reach_those_who_sent_an_opt", _ZONE + "other_options_of_upstream_reach_nobody"),
    "A UDP query of more than 512": (_INPUT + "a_query_of_4096_octets_is_read",),
    "The payload size in a reply's OPT": (_REPLY + "an_opt_goes_to_those_who_sent_one",),
    "A client without EDNS gets": (_BOUNDS + "what_does_not_fit_is_cut_over_udp_and_whole_over_tcp", "scenarios/forward_truncated_udp_is_asked_by_tcp.rpl"),
    "Records of a hit": (_ZONE + "each_client_sees_its_own_letters",),
    "RD and CD of a reply": (_REPLY + "rd_and_cd_are_the_clients_and_all_else_is_told",),
    "A SERVFAIL or NOTIMP that is remembered": (_ZONE + "an_upstreams_failure_is_passed_on_and_remembered", _ZONE + "a_failure_is_a_servfail_that_says_why"),
    "An upstream's SERVFAIL and NOTIMP are kept": (_ZONE + "an_upstreams_failure_is_passed_on_and_remembered", _ZONE + "what_failed_is_not_asked_again_at_once_and_for_longer_each_time", _ZONE + "the_servfail_option_fixes_the_time"),
    "An error of its own": (_ZONE + "a_failure_is_a_servfail_that_says_why",),
    "FORMERR and NOTIMP come": (_QUERY + "an_error_goes_with_an_opt_to_whoever_sent_one",),
    "NSID, cookies, padding": (_INPUT + "unknown_edns_options_and_flags_are_not_echoed",),
    "`acl` sends an OPT": (_REPLY + "no_opt_goes_to_those_who_sent_none", _DIRECTIVES + "acl.py::test_a_refusal_says_why_to_who_understands_it"),
    "What came of a question without RD": (_ZONE + "what_came_of_a_question_without_rd_is_nobody_elses",),
    "An answer with a signature": ("cache/test_keep.py::test_answers_whose_signatures_do_not_hold_are_not_kept",),
    "While all upstreams are down": (
        _STALE + "while_upstream_is_silent_a_few_wait_and_the_others_are_told_stale_at_once",_ZONE + "while_upstream_is_down_new_questions_have_half_of_the_places", _BOUNDS + "without_room_a_stale_answer_is_better_than_none"),
    "A client's query is lost": ("system/test_agent.py::test_a_query_that_waits_when_the_worker_is_killed_is_answered_by_the_next",),
    "NOTIFY is handled": (_QUERY + "other_opcodes_are_not_implemented",),
    "AXFR and IXFR": (_BOUNDS + "transfers_are_refused_and_never_asked_for",),
    "`rewrite rcode` needs": (_REWRITE + "an_rcode_without_any_record_is_rewritten_too", _REWRITE + "an_alias_is_pointed_elsewhere_and_resolved_again"),
    "`rewrite edns0` without": (_REWRITE + "an_option_goes_upstream_and_not_back_to_the_client",),
    "`dns64` does not answer PTR": (
        _DIRECTIVES + "dns64.py::test_the_name_of_a_made_address_is_that_of_its_ipv4_address",
        _DIRECTIVES + "dns64.py::test_addresses_that_are_ipv4_ones_are_left_out",
        _DIRECTIVES + "dns64.py::test_these_are_left_alone",
    ),
    "With no A record": (_DIRECTIVES + "dns64.py::test_where_there_is_no_ipv4_address_either_the_first_result_stays",),
    "`dns64 PREFIX { … }`": ("corefile/test_answering.py::test_dns64_is_read",),
    "An empty NOERROR of `acl`": (_DIRECTIVES + "acl.py::test_what_is_filtered_is_not_taken_for_a_lame_servers", _REWRITE + "an_rcode_without_any_record_is_rewritten_too"),
    "A client's OPT goes upstream": (
        _QUERY + "upstream_gets_an_opt_of_ours_where_the_client_sent_one",
        "wire/test_upstream_options.py::test_a_clients_own_options_stay_here",
        _QUERY + "upstream_hears_rd_and_cd_and_that_we_know_ad",
    ),
    "A class other than IN passes": (_INPUT + "another_class_is_asked_apart", "server/test_chain.py::test_nobody_below_is_a_server_failure"),
    "`id.server. CH TXT` is forwarded": ("server/test_handler.py::test_the_keepers_question_is_answered_at_once_and_not_counted",),
    "Additional records that do not fit": ("wire/test_compress.py::test_additional_records_alone_go_by_whole_sets_and_without_tc",),
    "A `template` with REFUSED": ("server/directives/template/test_template.py::test_other_rcodes_are_said_once",),
    "Queries on one TCP connection": (_STREAMS + "a_ready_answer_overtakes_a_slow_one",),
    "A name in capitals": ("corefile/test_parser.py::test_a_block_knows_its_zones_directives_and_place",),
    # Upstreams
    "One query a connection": (
        "forward/test_pool.py::test_queries_of_one_loop_turn_leave_in_one_write",
        "forward/test_pool.py::test_another_connection_helps_when_the_oldest_query_waits",
        "scenarios/forward_server_takes_one_query_at_a_time.rpl",
        "scenarios/forward_server_resets_after_one_answer.rpl",
        "system/test_forward_odd_servers.py::test_a_server_that_takes_few_queries_a_connection_answers_all",
    ),
    "kube-dns is asked at its Service": (
        "forward/test_pods.py::test_pods_are_asked_and_the_service_address_only_while_there_are_none",
        "forward/test_balance.py::test_equal_pods_share_a_minute_at_a_thousand_queries_a_second_within_a_fifth",
        "forward/test_balance.py::test_pods_that_are_not_well_are_passed_by_and_the_service_address_is_the_last_way",
        "config/test_cluster_dns.py::test_nothing_where_the_pods_are_not_to_be_asked",
    ),
    "An answer that takes more than 2 s": (
        "scenarios/forward_answer_comes_late.rpl",
        "scenarios/forward_answer_comes_late_by_tcp.rpl",
    ),
    "A silent upstream costs": (
        "scenarios/forward_slow_answer_is_hedged.rpl",
        "forward/test_forwarding.py::test_our_own_directive_sets_hedging_and_the_pools_size",
        "scenarios/forward_silent_upstream_until_the_deadline.rpl",
    ),
    "Where nobody listens": ("scenarios/forward_nobody_listens_tcp.rpl", "scenarios/forward_nobody_listens_udp.rpl", "scenarios/forward_restarted_upstream_answers.rpl"),
    "What UDP does not bring": (
        "scenarios/forward_udp_does_not_get_through.rpl",
        "scenarios/forward_udp_answer_is_cut_without_a_sign.rpl",
        "scenarios/forward_truncated_bare_header.rpl",
        "scenarios/forward_truncated_udp_and_tcp_is_refused.rpl",
    ),
    "FORMERR, NOTIMP and BADVERS": (
        "scenarios/forward_formerr_to_edns.rpl",
        "scenarios/forward_opt_is_blamed.rpl",
    ),
    "SERVFAIL, REFUSED and NOTIMP": (
        "scenarios/forward_failover_on_servfail.rpl",
        "scenarios/forward_failover_as_the_corefile_says.rpl",
        "scenarios/forward_opt_is_blamed.rpl",
        "scenarios/forward_error_in_hand_while_another_is_silent.rpl",
    ),
    "An upstream that answers everything": ("forward/test_health.py::test_four_failures_in_a_row_make_it_lame_for_ten_seconds", "scenarios/forward_lame_upstream_comes_last.rpl"),
    "No limit on queries": (
        _BOUNDS + "nobody_waits_beyond_the_room_there_is",
        _BOUNDS + "one_client_does_not_take_all_the_room",
        _BOUNDS + "without_room_a_stale_answer_is_better_than_none",
    ),
    "`/etc/resolv.conf` is read once": ("forward/test_destinations.py::test_a_file_is_read_again_when_it_changes", "forward/test_destinations.py::test_a_spoilt_file_keeps_the_last_good_upstreams"),
    "Stub domains with host names": ("forward/test_hostnames.py::test_a_name_is_asked_for_again_when_its_addresses_expire",),
    "A forwarding loop": ("system/test_forward_loop.py::test_a_loop_is_left_out_and_the_rest_serves", "scenarios/forward_loop_is_quarantined.rpl"),
    # The host
    "At SIGTERM all of it goes": (
        "system/test_host_leaves.py::test_after_a_clean_stop_pods_are_answered_by_kube_dns_until_that_expires",
        "system/test_host_leaves.py::test_from_one_agents_clean_stop_to_the_next_agent_no_query_is_lost",
    ),
    "Killed without a chance": (
        "system/test_host_fail_open.py::test_the_agent_itself_killed_loses_no_query_to_nobody",
        "system/test_host_fail_open.py::test_a_kernel_without_the_match_fails_open_by_the_lease",
    ),
    "A worker is the process": (_TRAFFIC + "a_killed_worker_costs_no_query_but_the_one_in_its_hands",),
    "An update ends the old pod": ("system/test_handover.py::test_a_second_agent_takes_over_and_the_first_goes_without_one_query_lost",),
    "12 `iptables` commands": (
        "host/test_nftables.py::test_the_script_replaces_the_whole_table_and_names_no_other",
        "host/test_nftables.py::test_counters_go_on_from_where_they_were",
        "host/test_packet_rules.py::test_the_backend_is_the_asked_one_or_the_first_that_works",
    ),
    "Rules match whether": (
        "host/test_nftables.py::test_every_rule_matches_only_while_its_address_is_local",
        "contract/test_rules.py::test_our_matches_are_that_the_address_is_local_and_at_prerouting_that_we_are_bound",
    ),
    "ACCEPT rules always go": (
        "host/test_foreign.py::test_where_something_may_drop_both_families_are_accepted_at_the_head",
        "system/test_host_filters.py::test_with_policy_drop_pods_and_the_node_itself_are_answered_and_no_trace_stays",
    ),
    "An interface of that name": (_REPAIRS + "a_link_of_that_name_that_is_not_ours_is_an_error_and_left_as_it_was",),
    "An address that another interface": (_REPAIRS + "an_address_of_another_interface_is_told_once_and_not_fought_over",),
    "Without `-pidfile`": ("host/test_guard.py::test_the_first_ready_worker_brings_the_host_up_and_no_later_one_does",),
    "`-syncinterval` lost": ("config/test_flags.py::test_the_sync_interval_means_what_it_says_and_nanoseconds_mean_seconds", _REPAIRS + "what_somebody_removes_is_put_back_at_once"),
    "All of `-localip`": ("config/test_flags.py::test_addresses_of_both_families_are_taken_blanks_and_all", "config/test_flags.py::test_a_wrong_command_line_is_told_in_one_line"),
    "The interface is left down": (
        "host/test_interface.py::test_the_originals_link_is_taken_over_and_set_up",
        _REPAIRS + "an_address_no_longer_asked_for_goes_and_a_strangers_stays",
    ),
    "Teardown adds each rule": (_REPAIRS + "a_rule_doubled_by_a_fault_is_left_once_and_removed_wholly",),
    "`-version` and `-plugins`": ("config/test_flags.py::test_no_address_is_needed_only_to_print_something",),
    "Port 9353 taken": ("system/test_agent.py::test_a_taken_metrics_port_is_an_error_line_and_not_the_end", "system/test_prometheus.py::test_both_ports_serve_the_same_series"),
    "Root throughout": ("system/test_host_privileges.py::test_the_worker_may_nothing_and_the_keeper_what_it_needs",),
    # Configuration
    "A change is seen by polling": ("config/test_watcher.py::test_a_switched_link_is_seen_at_once", "system/test_agent_config.py::test_a_switched_link_is_served_within_moments_and_keeps_the_cache"),
    "A file that a `forward` names": (
        "worker/test_serving.py::test_at_the_start_a_block_waits_for_a_missing_file_and_the_others_serve",
        "forward/test_destinations.py::test_a_missing_file_is_waited_for_where_there_is_nothing_to_go_back_to",
        "worker/test_serving.py::test_a_refused_configuration_changes_nothing",
    ),
    "A broken Corefile is a crash loop": (
        _SOURCE + "a_start_with_a_broken_one_serves_the_last_that_was_good",
        _SOURCE + "after_a_start_with_the_last_good_one_the_mended_one_is_taken",
        "system/test_agent_config.py::test_a_restart_with_a_broken_configmap_serves_the_last_known_good",
    ),
    "Without `KUBE_DNS_UPSTREAM": (_SOURCE + "a_service_that_the_environment_lacks_is_looked_up", _RENDERING + "a_missing_service_is_told_where_its_address_is_wanted"),
    "The written Corefile": ("config/test_state.py::test_a_file_is_replaced_whole_and_readers_of_the_old_keep_it", "system/test_agent_config.py::test_the_rendered_corefile_is_written_for_people"),
    "Stub domains come in random": (_KUBE_DNS + "stub_domains_are_sorted_and_their_servers_are_not", "corefile/test_render.py::test_stub_domains_are_bound_and_measured_as_all_names_are"),
    "An error names": (_RENDERING + "faults_are_told_by_the_lines_of_what_people_edit",),
    "The first mistake": ("corefile/test_parser.py::test_every_error_is_told_in_the_order_of_the_lines", "command/test_check.py::test_every_error_is_told_and_nothing_is_printed"),
    "An empty Corefile": ("corefile/test_parser.py::test_a_corefile_without_a_block_is_an_error",),
    "Stub domains are bound": ("corefile/test_render.py::test_stub_domains_are_bound_and_measured_as_all_names_are",),
    "A stub domain's server": (_KUBE_DNS + "a_broken_key_is_told",),
    "`force_tcp` is taken": ("contract/test_rendered_corefiles.py::test_a_base_is_rendered_as_the_original_renders_it", "corefile/test_render.py::test_custom_upstream_servers_are_asked_over_udp"),
    "Of two keys that differ": ("corefile/test_conflicts.py::test_of_keys_in_other_letter_case_one_is_served", "corefile/test_forwarding.py::test_a_destination_whose_port_is_none_is_left_out"),
    "Blocks for `https://`": (_SOURCE + "a_block_that_cannot_be_served_is_left_out_and_told",),
    "A ConfigMap `kube-dns`": (_KUBE_DNS + "a_key_with_a_fault_says_what_it_said_before", _KUBE_DNS + "what_is_sound_beside_a_fault_is_taken"),
    "A domain in `stubDomains`": (_KUBE_DNS + "names_may_be_in_any_case_and_have_their_last_dot",),
    "`stubDomains` with a domain": (_RENDERING + "a_stub_domain_that_the_corefile_serves_is_left_out",),
    "`answer name auto`": ("corefile/test_rewriting.py::test_rules_are_read",),
    "`health` or `pprof` at a port": ("corefile/test_observing.py::test_a_page_at_a_port_that_is_none_is_told_and_the_rest_is_served",),
    "A placeholder": ("corefile/test_parser.py::test_a_placeholder_that_nothing_filled_is_told", "command/test_check.py::test_what_is_left_out_or_left_open_is_an_error_and_the_rest_is_printed"),
    "An `https://` upstream is asked": (_HTTP + "requests_are_for_the_name_of_the_server",),
    "An `https://` upstream that answers": (_HTTP + "what_is_no_answer_is_servfail", "forward/test_probe.py::test_any_response_is_a_sign_of_life"),
    "`template` has `var`": ("corefile/test_answering.py::test_a_template_that_needs_expressions_is_refused_and_not_served_without_them",),
    "Snippets take": ("corefile/test_structure.py::test_a_snippet_takes_arguments",),
    "`cache {}`": ("corefile/test_caching.py::test_a_first_number_is_the_ttl_and_the_rest_are_zones",),
    "What passes by chance": ("corefile/test_structure.py::test_what_coredns_lets_pass_by_chance_is_a_warning",),
    "A host name as TO": ("forward/test_hostnames.py::test_a_name_is_asked_for_again_when_its_addresses_expire", "forward/test_hostnames.py::test_a_name_has_no_addresses_before_the_first_answer"),
    "`-b false`": ("config/test_flags.py::test_a_switch_takes_its_value_with_an_equals_sign",),
    "A wrong value of a flag": ("system/test_agent.py::test_a_wrong_flag_is_one_line_that_names_it_and_exit_2",),
    "`ready`, `acl`, `any`": ("contract/test_corefile_reference.py::test_the_order_of_directives_is_the_chain_s",),
    "`errors { stacktrace }`": ("server/test_handler.py::test_a_fault_of_ours_costs_one_query_its_answer_and_is_counted",),
    "`reload` alone": (_SOURCE + "reload_says_how_often_files_are_looked_at_though_nothing_is_told",),
    "`prometheus { tls }`": (
        "system/test_metrics_tls.py::test_a_broken_web_configuration_is_told_and_nothing_is_served_in_its_place",
        "web/test_webconfig.py::test_what_cannot_be_is_told_and_never_served_with_less",
        "web/test_webconfig.py::test_a_client_without_a_certificate_is_refused_where_one_is_wanted",
    ),
    "`prometheus { runtime_metrics }`": ("corefile/test_observing.py::test_others_are_read",),
    "`pprof` serves": ("worker/test_pprof.py::test_stacks_of_threads_and_tasks_are_told", "corefile/test_observing.py::test_others_are_read"),
    "`trace` speaks": ("corefile/test_observing.py::test_broken_ones_are_told", "corefile/test_observing.py::test_datadog_is_taken_with_a_warning_for_it_is_not_spoken"),
    "A traced query": ("server/directives/trace/test_trace.py::test_an_answer_of_an_upstream_is_a_span_in_that_of_forward",),
    # Metrics and logs
    "`coredns_forward_*` went": ("contract/test_metrics.py::test_every_series_of_the_original_is_there_with_its_type_labels_and_buckets", "system/test_prometheus.py::test_public_dashboards_get_series"),
    "`plugin` is the directive": ("server/test_counts.py::test_what_the_metrics_tell_apart_is_counted_apart",),
    "`go_*`;": ("metrics/test_collector.py::test_memory_of_both_processes_is_counted_once_and_cpu_in_full",),
    "Pages at one address": ("system/test_agent.py::test_pages_at_one_address_are_all_there_at_every_connection",),
    "`goversion`": ("contract/test_metrics.py::test_build_info_tells_version_and_interpreter",),
    "`coredns_cache_entries`": ("worker/test_readings.py::test_entries_are_counted_at_the_moment_of_the_scrape",),
    "A cache's series": ("worker/test_readings.py::test_a_block_with_two_keys_has_one_series_of_its_cache", "worker/test_readings.py::test_hits_are_told_where_they_were_asked_and_entries_at_the_first_address"),
    "`coredns_proxy_healthcheck": ("contract/test_metrics.py::test_what_alerts_compare_with_zero_is_there_from_the_start",),
    "Lines before the start": ("process/test_log.py::test_levels_are_written_as_the_original_writes_them", "process/test_log.py::test_logger_that_is_no_directive_has_no_prefix"),
    "Ten thousand equal errors": (
        "process/test_log.py::test_flood_is_shown_at_its_start_and_then_summed_up",
        "system/test_agent_log.py::test_a_flood_that_ends_is_summed_up_by_worker_and_keeper",
        "process/test_log.py::test_full_pipe_costs_lines_and_not_time",
    ),
    "A reply's size in": ("server/directives/test_query_log.py::test_common_format_of_an_answer", "server/test_counts.py::test_sizes_are_those_of_what_was_sent"),
    "Protobuf exposition": ("metrics/test_exposition.py::test_page_after_page_is_what_the_library_writes",),
}  # fmt: skip
