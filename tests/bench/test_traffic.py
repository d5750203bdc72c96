from bench import traffic


def test_random_case_changes_letters_only():
    names = traffic.case_names(100)
    assert {name.lower() for name in names} <= set(traffic.hit_names())
    assert len(set(names)) == 100


def test_the_stream_is_the_same_each_time():
    assert traffic.zipf_names(1000) == traffic.zipf_names(1000)


def test_the_first_name_of_a_zipf_stream_comes_about_twice_as_often_as_the_second():
    ranks = traffic.zipf_ranks(50_000)
    assert 1.7 < ranks.count(0) / ranks.count(1) < 2.3


def test_new_names_are_in_no_other_list():
    assert not set(traffic.new_names(1000)) & set(traffic.hit_names())
