"""Forms in which people post dumps, each as its source writes it: CI, log services, terminals, mails, archives."""

import base64
import gzip
import html
import io
import json
import re
import tarfile
import textwrap
import zipfile
from collections.abc import Callable
from typing import Final

Form = Callable[[bytes], bytes]
"""Returns what became of a file of goroutine dumps."""

STAMP: Final = "2026-08-01T10:00:00.123456789Z"
LEVEL: Final = 6


def every(wrap: Callable[[str], str], end: str = "\n") -> Form:
    """Return what writes each line anew."""
    return lambda text: "".join(wrap(line) + end for line in text.decode().splitlines()).encode()


def all_of(wrap: Callable[[str], str]) -> Form:
    """Return what writes a text anew."""
    return lambda text: wrap(text.decode()).encode()


def entry(line: str, key: str, **others: object) -> str:
    """Return a line as an object of JSON has it."""
    return json.dumps({**others, key: line})


def inside(before: str, form: Form, behind: str) -> Form:
    """Return what has a text between two others."""
    return lambda text: before.encode() + form(text) + behind.encode()


def rows(line: str, width: int) -> list[str]:
    """Return a line as a terminal breaks it."""
    line = line.expandtabs(8)
    return [line[at : at + width] for at in range(0, len(line), width)] or [""]


def flowed(text: str) -> str:
    """Return a text as mails have it that say ``format=flowed`` (RFC 3676): soft ends have a blank before them."""

    def line(each: str) -> str:
        each = each.expandtabs(8)
        pieces = textwrap.wrap(
            each, 72, break_long_words=False, break_on_hyphens=False, drop_whitespace=False, replace_whitespace=False
        ) or [""]
        return "".join(f"{' ' if piece.startswith((' ', '>', 'From ')) else ''}{piece}\n" for piece in pieces)

    return "".join(map(line, text.splitlines()))


def verbose(line: str) -> str:
    """Return a line as `journalctl -o verbose` prints it."""
    return (
        "Sat 2026-08-01 10:00:00.123456 UTC [s=0a1b;i=2f;b=3c;m=4d;t=5e;x=6f]\n"
        f"    _TRANSPORT=stdout\n    PRIORITY={LEVEL}\n    MESSAGE={line}\n    _PID=17\n    _COMM=dockerd\n"
    )


def export(line: str) -> str:
    """Return a line as `journalctl -o export` prints it."""
    return (
        "__CURSOR=s=0a1b;i=2f\n__REALTIME_TIMESTAMP=1754042400000000\n_TRANSPORT=stdout\n"
        f"MESSAGE={line}\n_PID=17\n_COMM=dockerd\n\n"
    )


def pretty(line: str) -> str:
    """Return a line as `journalctl -o json-pretty` prints it."""
    return json.dumps({"_PID": "17", "MESSAGE": line, "_COMM": "dockerd"}, indent="\t", separators=(",", " : "))


def insight(line: str) -> list[dict[str, str]]:
    """Return a line as CloudWatch's Insights give it."""
    return [
        {"field": "@timestamp", "value": "2026-08-01 10:00:00.000"},
        {"field": "@message", "value": line},
        {"field": "@ptr", "value": "Cm8KMQotMDEyMzQ1Njc4OTAxOmIvYxAA"},
    ]


def archived(names: list[str], text: bytes) -> dict[str, bytes]:
    """Return the files of an archive: a text, and what stands beside it."""
    return {names[0]: b"Linux ci-1 6.1.0 x86_64\n", names[1]: text, names[2]: b"total 0\n"}


def tarred(mode: str) -> Form:
    """Return what puts a text into a tar archive beside others."""

    def pack(text: bytes) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
            for name, data in archived(["info/uname", "logs/stacks.txt", "logs/z"], text).items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return out.getvalue()

    return pack


def zipped(text: bytes) -> bytes:
    """Return a text in a zip archive beside others."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in archived(["0_Set up job.txt", "build/3_Dump.txt", "build/4_Post.txt"], text).items():
            archive.writestr(name, data)
    return out.getvalue()


def linked(line: str) -> str:
    """Return a line as Slack keeps it, which makes a link of each name of a host."""
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"((?:github\.com|google\.golang\.org|golang\.org)(?:/[\w/-]+)?)", r"<http://\1|\1>", line)


def ligatures(text: str) -> str:
    """Return a text as it is copied from a PDF."""
    for letters, one in (("ffi", "\ufb03"), ("ff", "\ufb00"), ("fi", "\ufb01"), ("fl", "\ufb02")):
        text = text.replace(letters, one)
    lines = [line.strip() for line in text.splitlines()]
    pages = [lines[at : at + 50] for at in range(0, len(lines), 50)]
    return "".join("\n".join(page) + f"\n{number} / {len(pages)}\n\f" for number, page in enumerate(pages, 1))


def capped(width: int, ends: Callable[[str], str]) -> Form:
    """Return what breaks lines at a terminal's width, and does something to each row."""
    return all_of(lambda text: "".join(ends(row) + "\n" for line in text.splitlines() for row in rows(line, width)))


def json_lines(key: str, **others: object) -> Form:
    """Return what makes an object of JSON of each line."""
    return every(lambda line: entry(line, key, **others))


CI: Final[dict[str, Form]] = {
    "GitLab's raw trace": inside(
        "section_start:1754042400:after_script\r\x1b[0K\x1b[0;m\x1b[32;1m$ cat dump.txt\x1b[0;m\n",
        every(lambda line: f"2026-08-01T10:00:00.123456Z 01E {line}"),
        "section_end:1754042401:after_script\r\x1b[0K\n",
    ),
    "Azure's debug lines": inside(
        "\ufeff2026-08-01T10:00:00.1234567Z ##[group]dump\n",
        every(lambda line: f"2026-08-01T10:00:00.1234567Z ##[debug]{line}"),
        "2026-08-01T10:00:00.1234567Z ##[endgroup]\n",
    ),
    "CircleCI's answer": all_of(
        lambda text: json.dumps([{"message": text.replace("\n", "\r\n"), "time": STAMP, "type": "out"}])
    ),
    "Buildkite's download": inside(
        "~~~ Running script\n", every(lambda line: f"[2026-08-01T10:00:00Z] {line}", "\r\n"), "^^^ +++\n"
    ),
    "TeamCity's log": every(lambda line: f"[10:00:00]W:\t [Step 1/2] {line}"),
    "Drone's lines": every(lambda line: f"[dump:12] {line}"),
    "Drone's answer": every(lambda line: entry(line + "\n", "out", pos=1, time=3) + ","),
    "Travis": inside("travis_fold:start:dump\r\x1b[0K", every(str, "\r\n"), "travis_fold:end:dump\r\x1b[0K"),
    "AppVeyor": every(lambda line: f"[00:01:02] {line}"),
    "Woodpecker": every(lambda line: f"[dump:L12:3s] {line}"),
    "Bamboo": every(lambda line: f"build\t01-Aug-2026 10:00:00\t{line}"),
    "GoCD": every(lambda line: f"&1|10:00:00.123 {line}"),
    "Tekton": every(lambda line: f"[build-push : step-build] {line}"),
    "Argo": every(lambda line: f"\x1b[32mci-7xk2p-1403\x1b[0m: {line}"),
    "Cloud Build": every(lambda line: f'Step #1 - "build": {line}'),
    "CodeBuild": every(lambda line: f"[Container] 2026/08/01 10:00:00.123456 {line}"),
    "a step of BuildKit": every(lambda line: f"#12 45.21 {line}"),
    "a step of Dagger": every(lambda line: f"12 : [1m2.3s] | {line}"),
    "Earthly": every(lambda line: f"           +build | {line}"),
}
SERVICES: Final[dict[str, Form]] = {
    "Cloud Logging": all_of(
        lambda text: json.dumps(
            [{"insertId": "1a", "textPayload": line, "timestamp": STAMP} for line in text.splitlines()], indent=2
        )
    ),
    "Datadog's CSV": inside(
        "date,host,service,content\n",
        every(lambda line: '"2026-08-01T10:00:00.000Z","ci-1","buildkitd","' + line.replace('"', '""') + '"'),
        "",
    ),
    "Datadog's answer": all_of(
        lambda text: json.dumps(
            {"data": [{"id": "A", "attributes": {"message": each, "host": "h"}} for each in text.splitlines()]}
        )
    ),
    "Insights": all_of(lambda text: json.dumps({"results": [insight(line) for line in text.splitlines()]}, indent=4)),
    "aws logs tail": every(lambda line: f"2026-08-01T10:00:00.123000+00:00 buildkitd/task/9f3a {line}"),
    "logcli, jsonl": every(lambda line: entry(line, "line", labels={"pod": "b-0"}, timestamp=STAMP)),
    "Stern's JSON": json_lines("message", podName="b-0", containerName="buildkitd"),
    "Stern": every(lambda line: f"buildkitd-0 buildkitd {line}"),
    "GELF": json_lines("short_message", version="1.1", host="ci-1"),
    "Splunk's CSV": lambda text: (
        b'"_raw","_time"\n"' + text.replace(b'"', b'""') + b'","2026-08-01T10:00:00.000+0000"\n'
    ),
    "Splunk's answer": every(lambda line: json.dumps({"preview": False, "result": {"_raw": line, "_time": STAMP}})),
    "Kibana's CSV": inside(
        '"@timestamp",message\n', every(lambda line: '"Aug 1, 2026 @ 10:00:00.000","' + line + '"'), ""
    ),
    "Elastic's hits": all_of(
        lambda text: json.dumps(
            {"hits": {"hits": [{"_id": "x", "_source": {"message": line}} for line in text.splitlines()]}}
        )
    ),
    "Fly": every(lambda line: f"2026-08-01T10:00:00Z app[148ed2] ams [info]{line}"),
    "Heroku": every(lambda line: f"2026-08-01T10:00:00.123456+00:00 app[web.1]: {line}"),
}
HOSTS: Final[dict[str, Form]] = {
    "nerdctl compose": every(lambda line: f"buildkitd_1    |{line}"),
    "podman's file": every(lambda line: f"2026-08-01T10:00:00.123456789+00:00 stderr F {line}"),
    "podman logs --names": every(lambda line: f"2026-08-01T10:00:00+00:00 buildkitd {line}"),
    "docker service logs": every(lambda line: f"buildkit_b.1.x7q2k9@node-1    | {line}"),
    "journalctl -o short-iso-precise": every(lambda line: f"2026-08-01T10:00:00.123456+0000 ci-1 dockerd[17]: {line}"),
    "journalctl -o short-monotonic": every(lambda line: f"[ 1234.567890] ci-1 dockerd[17]: {line}"),
    "journalctl -o verbose": every(verbose, ""),
    "journalctl -o export": every(export, ""),
    "journalctl -o json-pretty": every(pretty),
    "RFC 5424": every(
        lambda line: f'<30>1 2026-08-01T10:00:00.000Z ci-1 buildkitd 17 ID47 [ex@32473 iut="3" src="App"] {line}'
    ),
    "RFC 3164": every(lambda line: f"<30>Aug  1 10:00:00 ci-1 buildkitd: {line}".replace("\t", "#011")),
    "kubectl logs --prefix --timestamps": every(lambda line: f"[pod/buildkitd-0/buildkitd] {STAMP} {line}"),
    "Ansible's stdout_lines": all_of(
        lambda text: "ok: [ci-1] => " + json.dumps({"changed": False, "stdout_lines": text.splitlines()}, indent=4)
    ),
    "Terraform": every(lambda line: f"null_resource.dump (local-exec): {line}"),
    "go test -json": every(lambda line: entry(f"{line}\n", "Output", Action="output", Package="p", Time=STAMP)),
}
PASTED: Final[dict[str, Form]] = {
    "GitHub's page": all_of(
        lambda text: (
            '<div class="snippet-clipboard-content"><pre class="notranslate"><code class="notranslate">'
            f"{html.escape(text)}</code></pre></div>"
        )
    ),
    "Jenkins' page": every(
        lambda line: f'<span class="timestamp"><b>10:00:00</b> </span>{html.escape(line)}'.replace(
            "github.com", "<a href='https://github.com'>github.com</a>"
        )
    ),
    "Slack's export": all_of(lambda text: json.dumps({"type": "message", "text": f"```{html.escape(text)}```"})),
    "Slack without code": every(linked),
    "Slack's quotes": every(lambda line: "&gt; " + html.escape(line).replace("\t", "\u00a0" * 4)),
    "a list of Discord's": inside("- first dump\n  ```go\n", every(lambda line: f"  {line}"), "  ```\n"),
    "a quote in a list": inside("3. here:\n", every(lambda line: f"   > {line}"), ""),
    "format=flowed": all_of(flowed),
    "tmux of 132 columns": capped(132, str.rstrip),
    "cmd.exe of 120 columns": capped(120, lambda row: f"{row:<120}"),
    "a PDF": all_of(ligatures),
    "PowerShell": lambda text: text.decode().replace("\n", "\r\n").encode("utf-16"),
    "less -N": every(lambda line: f"{12:>7} {line.expandtabs(8)}ESC[0m"),
    "vim's list": every(lambda line: line.replace("\t", ">---") + "$"),
    "Jira": inside(
        "{noformat:title=dump.txt}\n", every(lambda line: re.sub(r"([{}\[\]*_])", r"\\\1", line)), "{noformat}\n"
    ),
}
PACKED: Final[dict[str, Form]] = {
    "gzip": gzip.compress,
    "tar": tarred("w"),
    "tar.gz": tarred("w:gz"),
    "zip": zipped,
    "a ConfigMap": lambda text: (
        b"apiVersion: v1\nkind: ConfigMap\nbinaryData:\n  dump.txt: " + base64.b64encode(text) + b"\nmetadata: {}\n"
    ),
    "gzip in base64": lambda text: base64.encodebytes(gzip.compress(text)),
}
FIRST: Final[dict[str, Form]] = {**CI, **SERVICES, **HOSTS, **PASTED, **PACKED}


def wordy(text: str) -> bytes:
    """Return a text as a word processor's document."""
    out = io.BytesIO()
    body = "".join(
        f'<w:p><w:r><w:t xml:space="preserve">{html.escape(line)}</w:t></w:r></w:p>'.replace(
            "\t", "</w:t><w:tab/><w:t>"
        )
        for line in text.splitlines()
    )
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f'<?xml version="1.0"?><w:document><w:body>{body}</w:body></w:document>')
        archive.writestr("word/styles.xml", "<w:styles/>")
    return out.getvalue()


def in_fields(text: bytes) -> bytes:
    """Return a text as `journalctl -o export` prints entries of several lines: with their sizes, in eight bytes."""
    entries = (one + b"\n\n" for one in text.split(b"\n\n"))
    return b"".join(
        b"__CURSOR=s=1\nMESSAGE\n" + len(each).to_bytes(8, "little") + each + b"\n_PID=17\n\n" for each in entries
    )


def in_chunks(size: int, wrap: Callable[[str], str]) -> Form:
    """Return what tears one escaped line at a size, as loggers of containers do with long ones."""

    def chunks(text: bytes) -> bytes:
        line = 'time="2026" level=info msg="' + json.dumps(text.decode())[1:-1] + '"\n'
        return "".join(wrap(line[at : at + size]) for at in range(0, len(line), size)).encode()

    return chunks


def framed(text: bytes) -> bytes:
    """Return a text as the API of Docker streams it: eight bytes before each piece, which say whose and how long."""
    lines = text.splitlines(keepends=True)
    return b"".join(b"\2\0\0\0" + len(line).to_bytes(4, "big") + line for line in lines)


def messages(text: str) -> str:
    """Return a text as it is copied from a chat whose messages have 2,000 letters at most."""
    told, size = [""], 0
    for line in text.splitlines():
        if size + len(line) > 1900:
            told.append("")
            size = 0
        told[-1] += f"{line}\n"
        size += len(line) + 1
    return "".join(f"bob \u2014 Today at 10:0{n % 10} AM\n{each}" for n, each in enumerate(told))


def indented(text: str) -> str:
    """Return a text as a test of Go logs it."""
    first, *others = text.splitlines()
    return f"=== RUN   TestDump\n    dump_test.go:12: {first}\n" + "".join(f"        {line}\n" for line in others)


SECOND: Final[dict[str, Form]] = {
    "a document": lambda text: wordy(text.decode()),
    "journalctl -o export, sized": in_fields,
    "journalctl -o json, bytes": every(lambda line: json.dumps({"_PID": "17", "MESSAGE": [*line.encode()]})),
    "docker's parts of 16 KiB": in_chunks(16_384, lambda part: entry(part, "log", stream="stderr") + "\n"),
    "CRI's parts of 16 KiB": in_chunks(
        16_384, lambda part: f"{STAMP} stderr {'F' if part.endswith(chr(10)) else 'P'} {part.rstrip()}\n"
    ),
    "docker's stream": framed,
    "a chat": all_of(messages),
    "IRC": every(lambda line: f"10:00 <bob> {line}"),
    "Outlook": every(
        lambda line: f"<p class=MsoNormal><span lang=EN-US style='color:red'>{html.escape(line)}<o:p></o:p></span></p>"
    ),
    "a test of Go": all_of(indented),
    "bytes of Python": lambda text: repr(text).encode(),
    "log4j": every(lambda line: f"10:00:00.123 [main] INFO  c.e.Dump - {line}"),
    "Rails": every(lambda line: f"I, [2026-08-01T10:00:00.123456 #17]  INFO -- : {line}"),
    "klog": every(lambda line: f"I0801 10:00:00.123456      17 dump.go:12] {line}"),
    "zap's console": every(lambda line: f'{STAMP}\tINFO\tsolver/x.go:92\t{line}\t{{"pod": "b-0"}}'),
    "logfmt": every(lambda line: f"message={json.dumps(line)} timestamp={STAMP} source=stderr"),
    "Octopus": every(lambda line: f"10:00:00   Info     |       {line}"),
    "Puppet": every(lambda line: f"Notice: /Stage[main]/Ci/Exec[dump]/returns: {line}"),
    "GNU parallel": every(lambda line: f"ci-1\t{line}"),
    "psql": inside("     message      \n------------------\n", every(lambda line: f" {line.expandtabs(8):<130}+"), ""),
    "JUnit": all_of(lambda text: f"<testsuite><system-out><![CDATA[{text}]]></system-out></testsuite>"),
    "Excel": every(lambda line: '17;"' + line.replace('"', '""') + '"_x000D_', "\r\n"),
    "asciinema": every(lambda line: json.dumps([1.234, "o", f"{line}\r\n"])),
    "script": inside(
        "Script started on 2026-08-01\n\x1b[?2004h$ cat dump\r\n",
        every(lambda line: f"{line}\x1b[K", "\r\n"),
        "\x1b[?2004h$ \x1b[?2004l\r\nScript done\n",
    ),
    "Google's ends": all_of(lambda text: text.replace("\n", "\u2028")),
    "numbered escapes": all_of(
        lambda text: '{"text":"' + text.replace("\n", "\\u000a").replace("\t", "\\u0009") + '"}'
    ),
    "UTF-8 read as another": all_of(lambda text: text.replace("\t", "\u00c2\u00a0\u00c2\u00a0")),
    "strace": lambda text: b"".join(
        b'[pid 17] write(2, "%s", %d) = %d\n' % (json.dumps(line.decode() + "\n")[1:-1].encode(), len(line), len(line))
        for line in text.splitlines()
    ),
    "Telegram": all_of(lambda text: json.dumps({"messages": [{"text": [{"type": "pre", "text": text}]}]}, indent=1)),
    "an address of data": lambda text: b"data:text/plain;base64," + base64.b64encode(text),
}


def hung(width: int, hang: str) -> Form:
    """Return what breaks lines at a width, and indents what goes on in the next."""

    def broken(line: str) -> str:
        line, rest = line[:width], line[width:]
        step = width - len(hang)
        return "\n".join([line, *(hang + rest[at : at + step] for at in range(0, len(rest), step))]) + "\n"

    return all_of(lambda text: "".join(broken(line.expandtabs(4)) for line in text.splitlines()))


def coloured(line: str) -> str:
    """Return a line with a colour for each number and bracket."""
    return re.sub(r"\d+|[\[\](){}]", lambda match: f"\x1b[38;5;141m{match[0]}\x1b[0;39m", line)


def loki(text: str) -> str:
    """Return a text as Loki answers a query: the newest line first."""
    values = [[str(n), line] for n, line in enumerate(text.splitlines())]
    return json.dumps({"status": "success", "data": {"result": [{"stream": {"pod": "b-0"}, "values": values[::-1]}]}})


def documents(text: str) -> str:
    """Return a text as `gcloud logging read` prints it."""
    lines = (line.replace("'", "''") for line in text.splitlines() if line.strip())
    return "---\n".join(f"insertId: a1\ntextPayload: '{line}'\ntimestamp: '{STAMP}'\n" for line in lines)


def nested(text: bytes) -> bytes:
    """Return a text in an archive in an archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("artifact/dumps.tar.gz", tarred("w:gz")(text))
    return out.getvalue()


def members(text: bytes) -> bytes:
    """Return a text packed in two halves, one after the other."""
    half = text.find(b"\n", len(text) // 2) + 1
    return gzip.compress(text[:half]) + gzip.compress(text[half:])


def notebook(text: str) -> str:
    """Return a text as a notebook of Jupyter has it."""
    cell = {"cell_type": "code", "outputs": [{"name": "stdout", "text": text.splitlines(keepends=True)}]}
    return json.dumps({"cells": [cell]}, indent=1)


THIRD: Final[dict[str, Form]] = {
    "gh run view --log": every(lambda line: f"build (ubuntu)\tDump\t2026-08-01T10:00:00.1234567Z {line}"),
    "Loki's answer": all_of(loki),
    "logcli": every(lambda line: f'2026-08-01T10:00:00Z {{namespace="ci", pod="b-0"}} {line}'),
    "Datadog's archive": every(lambda line: entry(line, "message", date=STAMP, attributes={"file": "x.go:1"})),
    "escaped twice": every(lambda line: html.escape(html.escape(line))),
    "blanks and CRLF": every(lambda line: f"{line}   ", "\r\n"),
    "a colour for each": every(coloured),
    "broken at 96, hanging": hung(96, " " * 4),
    "broken at 120, hanging": hung(120, " " * 8),
    "fluent-bit": every(lambda line: f'[0] kube.b: [[1754042400.123, {{}}], {{"log"=>{json.dumps(line)}}}]'),
    "fluentd": every(lambda line: f"2026-08-01 10:00:00.000000000 +0000 kube.b: {entry(line, 'log')}"),
    "gcloud logging read": all_of(documents),
    "kubectl describe": all_of(lambda text: "      Message:      " + text.replace("\n", "\n" + " " * 20)),
    "Event Viewer": all_of(lambda text: f"<Data>{html.escape(text)}</Data>".replace("\n", "&#xA;")),
    "a patch": inside("--- /dev/null\n+++ b/dump.txt\n@@ -0,0 +1,9 @@\n", every(lambda line: f"+{line}"), ""),
    "git blame": every(lambda line: f"^1a2b3c4d (Bob 2026-08-01 10:00:00 +0200 12) {line}"),
    "grep -rn": every(lambda line: f"./logs/2026/dump.log:12:{line}"),
    "Packer": every(lambda line: f"1754042400,,ui,message,    docker: {line.replace(',', '%!(PACKER_COMMA)')}"),
    "Pulumi": every(lambda line: f" +  command:local:Command dump creating (3s) {line}"),
    "multilog": every(lambda line: f"@400000006889b8a0075bcd15 {line}"),
    "cloud-init": every(lambda line: f"[  123.456789] cloud-init[1234]: {line}"),
    "Nix": every(lambda line: f"       > {line}"),
    "Jupyter": all_of(notebook),
    "code for each line": every(lambda line: f"`{line}`<br>"),
    "strings of Java": every(lambda line: f"        + {json.dumps(line)}"),
    "three containers": every(lambda line: f"b-1  | {line}\nweb-1  | GET / 200 in 12 ms\ndb-1  | done (12)"),
    "tar.xz": tarred("w:xz"),
    "an archive in an archive": nested,
    "two members of gzip": members,
}
ENDS: Final[dict[str, Form]] = {
    "its beginning": lambda text: text[: len(text) // 2],
    "its end": lambda text: text[len(text) // 2 :],
    "what is around": lambda text: (
        text[: len(text) // 4] + b"\n[... 412 lines omitted ...]\n" + text[3 * len(text) // 4 :]
    ),
}
"""Parts of dumps: what is missing in them may be what the rest waits for."""
CUT: Final[dict[str, Form]] = {
    "cut at 60 columns": every(lambda line: line.expandtabs(8)[:60]),
    "cut at 40 columns": every(lambda line: line.expandtabs(8)[:40]),
    "heads alone": all_of(lambda text: "\n".join(line for line in text.splitlines() if line.startswith("goroutine"))),
    "a profile": lambda _: gzip.compress(b"\x0a\x04\x08\x01\x10\x022\x002\x09goroutine2\x05count"),
    "zstd": lambda text: b"\x28\xb5\x2f\xfd" + text[:0] + bytes(range(256)) * 9,
    "a PDF's file": lambda _: b"%PDF-1.7\n" + bytes(range(256)) * 9,
}
"""Of which nothing can be told, and that is what is to be said."""
