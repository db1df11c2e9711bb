"""Stages that third parties wrote for fluentd and that need no system: joining, parsing, shaping and routing events.

- Lines become events: `concat`, `detect_exceptions`, on `joining.py`.
- Texts become fields: `parser_multi_format.py`, `grok`, `parser_kubernetes.py`, `parser_logfmt.py`,
  `filter_parse_json_field.py`.
- Fields are renamed, added, left out: `filter_dedot.py`, `filter_flatten_hash.py`, `filter_add_insert_ids.py`,
  `out_record_reformer.py`.
- Events are left out or sent elsewhere: `filter_throttle.py`, `filter_sampling.py`, `out_route.py`, `out_fork.py`,
  `out_forest.py`.
"""
