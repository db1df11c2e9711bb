"""Lines of each format, from a file through the parser and a formatter to a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe.testing import pipeline

CONFIG = """
<source>
  @type tail
  path {folder}/in.log
  pos_file {folder}/pos
  tag t
  read_from_head true
  {parse}
</source>
<match t>
  @type file
  path {folder}/out
  append true
  {format}
  <buffer []>
    flush_mode immediate
  </buffer>
</match>
"""
ACCESS = '192.0.2.1 - - [28/Feb/2013:12:00:00 +0900] "GET /a HTTP/1.1" 200 777'


@pytest.mark.parametrize(
    ("parse", "format_", "lines", "written"),
    [
        ("format apache2", "format csv\nfields host,code,agent", [ACCESS, "no", ACCESS], ['"192.0.2.1","200",""'] * 2),
        ("format nginx", "format ltsv\nlabel_delimiter =", [ACCESS.replace("- -", "- u")],
         ["remote=192.0.2.1\thost=-\tuser=u\tmethod=GET\tpath=/a\tcode=200\tsize=777"]),
        ("<parse>\n@type syslog\nmessage_format auto\nwith_priority true\n</parse>", "format hash",
         ["<6>Feb 28 12:00:00 h k: m", "<7>1 2013-02-28T12:00:00Z h k 1 - - m"],
         ['{"pri"=>6, "host"=>"h", "ident"=>"k", "message"=>"m"}',
          '{"pri"=>7, "host"=>"h", "ident"=>"k", "pid"=>"1", "msgid"=>"-", "extradata"=>"-", "message"=>"m"}']),
        ("<parse>\n@type csv\nkeys a,b\ntypes b:integer\n</parse>", "format tsv\nkeys b,a", ['"1,2",3', "x,"],
         ["3\t1,2", "\tx"]),
        ("format ltsv\nnull_empty_string true", "format json", ["a:1\tb:\tc"], ['{"a":"1","b":null}']),
    ],
)  # fmt: skip
async def test_from_file_to_file(
    parse: str, format_: str, lines: list[str], written: list[str], tmp_path: Path
) -> None:
    """What a configuration of either dialect says is what the file holds."""
    (tmp_path / "in.log").write_text("".join(f"{line}\n" for line in lines))
    out = tmp_path / "out.log"

    def text() -> str:
        return "".join(path.read_text() for path in [out] if path.exists())

    async with pipeline(CONFIG.format(folder=tmp_path, parse=parse, format=format_)) as running:
        await running.wait_for(lambda: text().count("\n") >= len(written))
    assert text().splitlines() == written
