"""Which test shows what docs/dns.md says, row by row and sentence by sentence.

A row is known by the beginning of its first cell, or of its first two where the first is not enough;
a paragraph by its beginning. A test is `file::name` below `tests/`, or a scenario's file.
"""

_ZONE = "server/test_zone.py::test_"
_STALE = "server/test_zone_stale.py::test_"
_BOUNDS = "server/test_zone_bounds.py::test_"
_QUERY = "wire/test_query.py::test_"
_RECORDS = "wire/test_query_records.py::test_"
_READER = "wire/test_reader.py::test_"
_REPLY = "wire/test_reply.py::test_"
_INPUT = "system/test_agent_input.py::test_"
_STREAMS = "system/test_agent_streams.py::test_"
_HTTP = "forward/transport/test_doh.py::test_"
_DIRECTIVES = "server/directives/test_"
_REWRITE = "server/directives/rewrite/test_rewrite.py::test_"

DNS: dict[str, tuple[str, ...]] = {
    # Messages
    "1034, 1035 | messages": (
        _QUERY + "anything_but_one_question_is_a_formerr",
        _QUERY + "a_name_of_255_octets_can_be_asked_for",
        _QUERY + "letter_case_is_all_that_keys_overlook",
        _REPLY + "a_reply_has_the_clients_id_question_and_letters",
        "wire/test_names.py::test_pointers_that_do_not_lead_back_are_refused",
    ),
    "1035, 4.1.1 | header": (
        _QUERY + "other_opcodes_are_not_implemented",
        _QUERY + "a_response_gets_silence",
        _QUERY + "less_than_a_header_gets_silence",
        _QUERY + "a_broken_question_is_a_formerr_without_it",
    ),
    "2181 | clarifications": (_READER + "a_ttl_with_its_top_bit_set_counts_as_0", _REPLY + "every_ttl_is_set_and_an_opt_is_not_taken_for_one"),
    "3597 | unknown types": (
        _READER + "unknown_data_of_any_size_is_passed_on",
        "server/test_mnemonics.py::test_what_has_no_name_is_a_number",
        "wire/test_rdata.py::test_a_name_that_may_not_be_compressed_is_written_out",
    ),
    "3425, 8482 | obsolete opcodes": (_QUERY + "other_opcodes_are_not_implemented", _DIRECTIVES + "any.py::test_any_is_answered_with_hinfo", _READER + "everything_asked_for_is_an_answer"),
    "5936, 1995 | AXFR": (_BOUNDS + "transfers_are_refused_and_never_asked_for",),
    "4343 | case": (_QUERY + "letter_case_is_all_that_keys_overlook", _QUERY + "an_https_query_has_a_key_of_its_own"),
    "9619 | QDCOUNT": (_QUERY + "anything_but_one_question_is_a_formerr",),
    "8945 | TSIG": (
        _RECORDS + "a_whole_tsig_says_nothing_to_us",
        _RECORDS + "a_signature_must_come_last",
        _RECORDS + "a_tsig_that_is_none_is_a_formerr",
        _READER + "records_behind_an_opt_or_tsig_stay_whole",
    ),
    # Transport
    "768, 1035 | UDP": (_INPUT + "a_query_of_4096_octets_is_read", "system/test_agent.py::test_a_wildcard_socket_replies_from_the_address_that_was_asked"),
    "7766 | TCP": (
        _STREAMS + "pipelined_queries_are_all_answered",
        _STREAMS + "a_ready_answer_overtakes_a_slow_one",
        _STREAMS + "a_client_that_closed_its_half_still_gets_its_answers",
        _STREAMS + "a_client_that_says_nothing_is_closed",
        _STREAMS + "hundreds_who_do_not_read_large_answers_cost_little_memory",
        "server/test_tcp.py::test_those_who_hold_most_go_where_all_hold_too_much",
    ),
    "6891 | EDNS(0)": (
        _REPLY + "an_opt_goes_to_those_who_sent_one",
        _RECORDS + "a_later_edns_version_is_answered_badvers_with_our_own",
        _RECORDS + "broken_edns_is_a_formerr",
        _REPLY + "the_limit_is_what_the_client_says_between_512_and_a_datagram",
        _BOUNDS + "bufsize_lowers_what_clients_claim",
        "scenarios/forward_formerr_to_edns.rpl",
    ),
    "2181, 9; 9471 | truncation": (
        "wire/test_compress.py::test_a_message_is_cut_at_the_last_border_within_the_limit",
        "wire/test_compress.py::test_additional_records_alone_go_by_whole_sets_and_without_tc",
        _REPLY + "a_referral_whose_glue_does_not_fit_is_truncated",
        _BOUNDS + "what_does_not_fit_is_cut_over_udp_and_whole_over_tcp",
        "scenarios/forward_truncated_udp_and_tcp_is_silent.rpl",
        "scenarios/forward_truncated_tcp.rpl",
    ),
    "7766, 5 | UDP or TCP": (
        "scenarios/forward_protocol_of_the_client.rpl",
        "scenarios/forward_udp_does_not_get_through.rpl",
        "scenarios/forward_truncated_udp_and_tcp_is_refused.rpl",
    ),
    "9715 | no fragments": (_QUERY + "upstream_gets_an_opt_of_ours_where_the_client_sent_one", "scenarios/forward_truncated_udp_is_asked_by_tcp.rpl"),
    "7858 | DNS over TLS": ("system/test_forward_peers.py::test_unbound_answers_over_tls", "forward/transport/test_tls.py::test_a_certificate_for_another_name_is_refused"),
    "8484 | DNS over HTTPS": (
        "system/test_forward_peers.py::test_unbound_answers_over_https",
        _HTTP + "a_query_is_asked_with_id_0",
        _HTTP + "a_get_asks_in_its_path",
        "system/test_forward_peers.py::test_a_server_without_http2_is_asked_over_http1",
    ),
    "9250 | DoQ": ("corefile/test_parser.py::test_a_block_of_a_transport_that_is_not_served_is_left_out", "corefile/test_destinations.py::test_what_nobody_can_be_asked_at_is_refused"),
    "6891, 6.2.1.1 | options": (
        "wire/test_upstream_options.py::test_a_clients_own_options_stay_here",
        _INPUT + "unknown_edns_options_and_flags_are_not_echoed",
        _REWRITE + "an_option_goes_upstream_and_not_back_to_the_client",
    ),
    # The cache
    "1035, 7.4 | caching": (
        "cache/test_keep.py::test_a_positive_answer_lives_as_long_as_its_shortest_record",
        "cache/test_entry.py::test_whole_seconds_are_counted_down",
        _BOUNDS + "a_ttl_of_0_may_be_let_through",
    ),
    "2308 | negative answers": (
        _READER + "answers_are_sorted_as_coredns_does",
        _READER + "a_negative_answer_lives_for_the_lower_of_the_soas_ttl_and_minimum",
        "scenarios/cache_negative_answers_need_a_soa.rpl",
        _ZONE + "an_empty_noerror_without_an_soa_is_kept_for_five_seconds",
    ),
    "2308, 7 and 9520 | failures": (
        "scenarios/failure_is_over_when_upstream_is_back.rpl",
        _ZONE + "what_failed_is_not_asked_again_at_once_and_for_longer_each_time",
        _ZONE + "the_servfail_option_fixes_the_time",
        _ZONE + "a_failure_never_hides_an_answer_that_is_good",
        _ZONE + "an_upstreams_failure_is_passed_on_and_remembered",
        "scenarios/forward_three_queries_at_most.rpl",
    ),
    "4035, 4.7; 3225 | DO": (_QUERY + "each_of_these_has_another_key",),
    "4035, 3.2.2 | CD": (_QUERY + "each_of_these_has_another_key",),
    "6840, 5.7 | AD": (_ZONE + "ad_is_for_those_who_ask_for_it", _ZONE + "one_clients_ad_is_not_lost_by_another_who_did_not_ask"),
    "8020 | NXDOMAIN": (_ZONE + "an_answer_is_for_its_own_question_only",),
    "8198 | aggressive NSEC": (_ZONE + "an_answer_is_for_its_own_question_only",),
    "8767 | stale answers": (
        _STALE + "serve_stale_verify_waits_for_the_outcome",
        "scenarios/stale_when_upstream_fails.rpl",
        _STALE + "an_answer_is_stale_for_as_long_as_the_policy_says_and_no_longer",
        _STALE + "an_expired_nxdomain_says_so",
    ),
    "8914 | Extended DNS Errors": (
        _ZONE + "a_failure_is_a_servfail_that_says_why",
        "server/test_handler.py::test_a_name_that_no_block_serves_is_refused_and_counted_as_dropped",
        _DIRECTIVES + "acl.py::test_a_refusal_says_why_to_who_understands_it",
        _ZONE + "upstreams_extended_errors_reach_those_who_sent_an_opt",
        _REPLY + "errors_go_as_a_whole_before_records_do",
    ),
    "6761, 6303, 7686": (_BOUNDS + "special_names_are_asked_for_like_others",),
    "1794 | order of records": (_DIRECTIVES + "loadbalance.py::test_addresses_change_places_and_nothing_else_changes",),
    "6147 | DNS64": (_DIRECTIVES + "dns64.py::test_a_name_without_ipv6_gets_its_ipv4_address_embedded", _DIRECTIVES + "dns64.py::test_addresses_that_are_ipv4_ones_count_as_none", "scenarios/dns64_name_of_a_made_address.rpl", _DIRECTIVES + "dns64.py::test_these_are_left_alone", "scenarios/dns64_while_ipv6_fails.rpl", "scenarios/dns64_while_ipv6_is_never_answered.rpl", "scenarios/dns64_while_ipv6_is_slow.rpl"),
    "7871 | client subnet": ("wire/test_upstream_options.py::test_a_clients_own_options_stay_here",),
    # Paragraphs
    "nodecache is a caching forwarder": (_ZONE + "a_miss_asks_upstream_and_the_next_query_is_a_hit",),
    "AA is set on hits": (_ZONE + "a_hit_is_authoritative_and_a_miss_says_what_upstream_said",),
    "RFC 5452": (
        "forward/transport/test_pending.py::test_ids_are_spread_over_their_whole_range",
        "forward/transport/test_datagram.py::test_queries_leave_from_many_ports",
        "forward/transport/test_network.py::test_a_datagram_comes_only_from_where_it_was_sent",
        "forward/transport/test_pending.py::test_a_forged_answer_leaves_the_query_waiting",
        _ZONE + "equal_misses_are_one_question_upstream",
        _ZONE + "an_answer_is_for_its_own_question_only",
        "system/test_forward_loop.py::test_a_loop_is_left_out_and_the_rest_serves",
    ),
    "Every parser reads": (
        _QUERY + "any_packet_is_a_query_or_refused",
        "wire/test_reader_laws.py::test_any_packet_is_an_answer_or_refused",
        "wire/test_frame.py::test_any_octets_are_frames_or_wait",
        "wire/test_names.py::test_any_octets_are_a_name_or_refused",
    ),
    # What strangers send
    "shorter than a header": (_QUERY + "less_than_a_header_gets_silence", _QUERY + "a_response_gets_silence"),
    "header with a broken question": (_QUERY + "a_broken_question_is_a_formerr_without_it", _QUERY + "anything_but_one_question_is_a_formerr"),
    "another opcode": (_QUERY + "other_opcodes_are_not_implemented",),
    "EDNS of a later version": (_RECORDS + "a_later_edns_version_is_answered_badvers_with_our_own", _RECORDS + "broken_edns_is_a_formerr"),
    "an upstream's bare header with TC": ("scenarios/forward_truncated_bare_header.rpl", "scenarios/forward_udp_answer_is_cut_without_a_sign.rpl"),
    "an upstream's answer with two OPTs": (
        _READER + "an_upstreams_odd_opt_takes_nothing_from_its_records",
        _READER + "an_upstreams_opt_in_the_wrong_section_takes_nothing_from_its_records",
    ),
    "an answer by TCP with fewer": ("scenarios/forward_more_records_counted_than_sent.rpl",),
    "a class other than IN": (_INPUT + "another_class_is_asked_apart", "server/test_chain.py::test_nobody_below_is_a_server_failure"),
    "a name that no block serves": ("server/test_handler.py::test_a_name_that_no_block_serves_is_refused_and_counted_as_dropped",),
    "a TCP frame that is never": (_STREAMS + "a_client_that_never_finishes_its_query_is_closed", _STREAMS + "a_client_that_does_not_read_slows_nobody_else"),
    "an upstream's answer with fewer": ("wire/test_sections.py::test_additional_records_may_be_missing_at_the_end", "wire/test_sections.py::test_an_additional_record_that_is_cut_off_is_no_missing_one"),
    "more answers on an upstream's": (
        "forward/test_pool.py::test_a_connection_with_more_answers_than_queries_is_given_up",
        "forward/transport/test_http1.py::test_what_is_no_http_or_without_end_is_found_out",
    ),
    "a DoH server's error": (_HTTP + "what_is_no_answer_is_servfail", "scenarios/forward_failover_on_servfail.rpl"),
    "an upstream's wrong id": (
        _INPUT + "an_upstream_that_misbehaves_once_costs_no_answer",
        _INPUT + "an_upstream_that_always_misbehaves_is_a_servfail_that_says_why",
        "scenarios/forward_wrong_id_is_waited_out.rpl",
    ),
}  # fmt: skip
