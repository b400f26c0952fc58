"""Secrets of many forms, drawn anew by a seed, so that nothing that is committed looks like a live one."""

import base64
import gzip
import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEX: Final = "0123456789abcdef"
LOWER: Final = string.ascii_lowercase + string.digits
LETTERS: Final = string.ascii_letters + string.digits
UPPER: Final = string.ascii_uppercase + "234567"
WORDS: Final = LETTERS + "_-"


@dataclass(frozen=True)
class Sample:
    """A secret, in a text that it must not stay in."""

    name: str
    secret: str
    text: str


def samples(seed: int = 1) -> list[Sample]:
    """Return all of them."""
    alone = (*bare(seed), *of_later_issuers(seed))
    others = (*as_others_print(seed), *of_services(seed), *as_talked(seed))
    return [*alone, *in_context(seed), *typed(seed), *written(seed), *others]


class _Draw:
    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def __call__(self, length: int, letters: str = LETTERS) -> str:
        return "".join(self._chance.choice(letters) for _ in range(length))


def bare(seed: int) -> Iterator[Sample]:
    """Yield tokens whose form alone says what they are, by gitleaks' rules and the issuers' pages."""
    d = _Draw(seed)
    uuid = "-".join(d(length, HEX) for length in (8, 4, 4, 4, 12))
    claims = base64.urlsafe_b64encode(b'{"sub":"1234567890"}').decode().rstrip("=")
    forms = {
        "aws": "AKIA" + d(16, UPPER),
        "aws session": "ASIA" + d(16, UPPER),
        "aws bedrock": "ABSK" + d(120),
        "age": "AGE-SECRET-KEY-1" + d(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
        "airtable": f"pat{d(14)}.{d(64, HEX)}",
        "alibaba": "LTAI" + d(20, LOWER),
        "anthropic": "sk-ant-api03-" + d(93, WORDS) + "AA",
        "artifactory": "AKCp" + d(69),
        "atlassian": "ATATT3" + d(186, WORDS),
        "azure ad": f"{d(3)}8Q~{d(34)}",
        "brevo": f"xkeysib-{d(64, HEX)}-{d(16)}",
        "circleci": "CCIPAT_" + d(22) + "_" + d(40, HEX),
        "clojars": "CLOJARS_" + d(60, LOWER),
        "cloudflare origin": f"v1.0-{d(24, HEX)}-{d(146, HEX)}",
        "databricks": "dapi" + d(32, HEX),
        "digitalocean": "dop_v1_" + d(64, HEX),
        "discord": f"{d(24)}.{d(6)}.{d(27)}",
        "docker hub": "dckr_pat_" + d(27, WORDS),
        "docker hub organisation": "dckr_oat_" + d(32, WORDS),
        "doppler": "dp.pt." + d(43),
        "duffel": "duffel_live_" + d(43, WORDS),
        "dynatrace": f"dt0c01.{d(24)}.{d(64)}",
        "easypost": "EZAK" + d(54),
        "facebook": "EAAM" + d(120),
        "figma": "figd_" + d(40, WORDS),
        "fly.io": "fo1_" + d(43, WORDS),
        "frame.io": "fio-u-" + d(64, WORDS),
        "github": "ghp_" + d(36),
        "github app": "ghs_" + d(36),
        "github oauth": "gho_" + d(36),
        "github refresh": "ghr_" + d(36),
        "github fine-grained": "github_pat_" + d(82, LETTERS + "_"),
        "gitlab": "glpat-" + d(20, WORDS),
        "gitlab deploy": "gldt-" + d(20, WORDS),
        "gitlab job": "glcbt-ab_" + d(20, WORDS),
        "gitlab runner": "glrt-" + d(20, WORDS),
        "gitlab trigger": "glptt-" + d(40, HEX),
        "gitlab routable": f"glpat-{d(27, WORDS)}.{d(2, LOWER)}{d(7, LOWER)}",
        "google api": "AIza" + d(35, WORDS),
        "google oauth": "GOCSPX-" + d(28, WORDS),
        "google access": "ya29." + d(120, WORDS),
        "grafana": f"glsa_{d(32)}_{d(8, HEX)}",
        "grafana cloud": "glc_" + d(80),
        "groq": "gsk_" + d(52),
        "vault": "hvs." + d(90, WORDS),
        "vault batch": "hvb." + d(140, WORDS),
        "heroku": "HRKU-AA" + d(58, WORDS),
        "hugging face": "hf_" + d(34, string.ascii_letters),
        "json web token": f"eyJhbGciOiJIUzI1NiJ9.{claims}.{d(43, WORDS)}",
        "launchdarkly": f"sdk-{uuid}",
        "linear": "lin_api_" + d(40),
        "mailgun": "key-" + d(32, HEX),
        "mapbox": f"pk.{d(60)}.{d(22)}",
        "maxmind": f"{d(6)}_{d(29)}_mmk",
        "netlify": "nfp_" + d(36),
        "new relic": "NRAK-" + d(27),
        "notion": "ntn_" + d(11, string.digits) + d(35),
        "npm": "npm_" + d(36),
        "nuget": "oy2" + d(43, LOWER),
        "octopus": "API-" + d(26, UPPER),
        "openai": "sk-" + d(20) + "T3BlbkFJ" + d(20),
        "openai project": "sk-proj-" + d(74, WORDS),
        "perplexity": "pplx-" + d(48),
        "planetscale": "pscale_tkn_" + d(43),
        "postman": f"PMAK-{d(24, HEX)}-{d(34, HEX)}",
        "prefect": "pnu_" + d(36),
        "pulumi": "pul-" + d(40, HEX),
        "pypi": "pypi-AgEIcHlwaS5vcmc" + d(60, WORDS),
        "rubygems": "rubygems_" + d(48, HEX),
        "sendgrid": f"SG.{d(22, WORDS)}.{d(43, WORDS)}",
        "sentry": "sntryu_" + d(64, HEX),
        "shopify": "shpat_" + d(32, HEX),
        "slack bot": f"xoxb-{d(12, string.digits)}-{d(12, string.digits)}-{d(24)}",
        "slack app": f"xapp-1-A{d(10, UPPER)}-{d(13, string.digits)}-{d(64, HEX)}",
        "slack webhook": f"https://hooks.slack.com/services/T{d(9, UPPER)}/B{d(9, UPPER)}/{d(24)}",
        "sonarqube": "squ_" + d(40, HEX),
        "square": "sq0atp-" + d(22, WORDS),
        "stripe": "sk_live_" + d(24),
        "stripe restricted": "rk_live_" + d(24),
        "stripe webhook": "whsec_" + d(32),
        "supabase": "sbp_" + d(40, HEX),
        "telegram": f"{d(10, string.digits)}:AA{d(33, WORDS)}",
        "terraform": f"{d(14)}.atlasv1.{d(60, WORDS)}",
        "twilio": "SK" + d(32, HEX),
        "typeform": "tfp_" + d(59, WORDS),
        "of nobody that is known": "x0A" + d(45),
    }
    for name, token in forms.items():
        yield Sample(name, token, f"2026-11-28T00:00:00Z step output {token} end\n")


def in_context(seed: int) -> Iterator[Sample]:
    """Yield what only its surroundings make a secret."""
    d = _Draw(seed + 1)
    word, token = "hunter2Zq" + d(6), d(40)
    quoted, folded = json.dumps, f"two words {word}"
    lines = [d(64) for _ in range(6)]
    key = "\n".join(["-----BEGIN RSA " + "PRIVATE KEY-----", *lines, "-----END RSA " + "PRIVATE KEY-----"])
    login = base64.b64encode(f"me:{word}".encode()).decode()
    output = base64.b64encode(f"DB_PASSWORD={word}\n".encode()).decode()
    short = base64.b64encode(f"pw={word[-6:]}".encode()).decode()
    for name, secret, text in (
        ("variable", word, f"DB_PASSWORD={word}"),
        ("short name", word, f"DB_PASS={word}"),
        ("working folder's twin", word, f"MYSQL_PWD={word}"),
        ("one word", word, f"PGPASSWORD={word} psql"),
        ("flag", word, f"docker login -u me --password {word} registry.example"),
        ("flag with equals", word, f"wget --http-password={word} https://x"),
        ("short flag", word, f"docker login -u me -p {word} registry.example"),
        ("flag in a list", word, quoted(["tool", "--password", word])),
        ("curl", word, f"curl -u me:{word} https://x"),
        ("curl, quoted", word, f"curl --user 'me:{word}' https://x"),
        ("curl in a list", word, quoted(["curl", "-u", f"me:{word}"], separators=(",", ":"))),
        ("sshpass", word, f"sshpass -p {word} ssh me@host"),
        ("mysql", word, f"mysqldump -ume -p{word} db"),
        ("standard input", word, f'RUN echo "{word}" | docker login --password-stdin'),
        ("chpasswd", word, f"RUN echo 'root:{word}' | chpasswd"),
        ("address", word, f"fetch https://me:{word}@host/x"),
        ("address, with a slash", f"s3cr/t{word}", f"fetch https://me:s3cr/t{word}@host/x"),
        ("address, with an at", f"p@{word}", f"postgres://me:p@{word}@db/x"),
        ("address without a user", word, f"redis://:{word}@h:6379/0"),
        ("address with a user alone", token, f"git clone https://{token}@github.com/x"),
        ("mirror", word, f'mirrors = ["me:{word}@mirror.example:5000"]'),
        ("quoted with blanks", folded, f'PASSWORD="{folded}"'),
        ("yaml with blanks", folded, f"a: 1\n  password: {folded}\nb: 2"),
        ("yaml block", lines[2], "key: 1\nsigning_key: |\n  " + "\n  ".join(lines) + "\nnext: 1"),
        ("with a comma", f"ab,{word}", f"PASSWORD='ab,{word}'"),
        ("with a semicolon", f"ab;{word}", f"PASSWORD=ab;{word}"),
        ("with a quote", f'ab"{word}', f"PASSWORD='ab\"{word}'"),
        ("with a brace", f"ab}}{word}", quoted({"password": f"ab}}{word}"})),
        ("with an ampersand", f"ab&{word}", f"password=ab&{word}"),
        ("json", word, quoted({"password": word})),
        ("json in json", word, quoted({"msg": quoted({"password": word})})),
        ("json in json in json", word, quoted({"a": quoted({"b": quoted({"password": word})})})),
        ("json, next line", word, f'{{"password":\n  "{word}"}}'),
        ("name and value", word, quoted({"name": "DB_PASSWORD", "value": word})),
        ("docker's inspect", word, quoted({"Name": "NPM_TOKEN", "Value": word}, indent=1)),
        ("kubernetes", token, f"kind: Secret\ndata:\n  any: {token}\n"),
        ("python", word, f"{{'password': '{word}'}}"),
        ("go", word, f"{{Username:me Password:{word} Server:x}}"),
        ("go, headers", token, f"map[Authorization:[Bearer {token}]]"),
        ("go, variable", word, f'var dbPassword string = "{word}"'),
        ("ruby", word, f'"db_password" => "{word}"'),
        ("java properties", word, f"spring.datasource.password={word}"),
        ("maven", word, f"<password>{word}</password>"),
        ("nuget", word, f'<add key="ClearTextPassword" value="{word}" />'),
        ("make", word, f"DB_PASSWORD ?= {word}"),
        ("fish", word, f"set -x DB_PASSWORD {word}"),
        ("dockerfile ENV", word, f"ENV DB_PASSWORD {word}"),
        ("dockerfile ARG", word, f"ARG REGISTRY_CRED={word}"),
        ("build argument", word, f"--build-arg GITHUB_TOKEN={word}"),
        ("opt of buildctl", word, f"--opt build-arg:NPM_TOKEN={word}"),
        ("setting", word, f"--set actors.ci.args.NPM_TOKEN={word}"),
        ("netrc", word, f"machine h login me password {word} account x"),
        ("npmrc", token, f"//registry.npmjs.org/:_authToken={token}"),
        ("npmrc, login", login, f"//r/:_auth={login}"),
        ("docker config", login, quoted({"auths": {"registry.example": {"auth": login}}})),
        ("docker config in a log", login, quoted({"log": quoted({"auths": {"r": {"auth": login}}})})),
        ("docker identity", token, quoted({"identitytoken": token})),
        ("registry header", token, f"X-Registry-Auth: {token}"),
        ("bearer", token, f"Authorization: Bearer {token}"),
        ("basic", login, f"Authorization: Basic {login}"),
        ("other scheme", token, f"curl -H 'Authorization: ApiKey {token}'"),
        ("no scheme", token, f"authorization: {token}"),
        ("scheme alone", token, f"sent bearer {token}"),
        ("api key header", token, f"x-api-key: {token}"),
        ("private token header", token, f"PRIVATE-TOKEN: {token}"),
        ("cookie", token, f"Cookie: session={token}; b=2"),
        ("set cookie", token, f"Set-Cookie: sid={token}; Path=/"),
        ("parameter", token, f"GET /x?access_token={token}&y=1"),
        ("key parameter", token, f"https://h/x?key={token}"),
        ("azure signature", token, f"https://h/x?sv=1&sig={token}"),
        ("amazon signature", token, f"https://s3/x?X-Amz-Signature={token}"),
        ("encoded parameter", word, f"url=https%3A%2F%2Fh%3Fpassword%3D{word}"),
        ("azure account", token, f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={token}==;"),
        ("aws secret", token, f"aws_secret_access_key = {token}"),
        ("aws session", token, f"AWS_SESSION_TOKEN={token}"),
        ("signing key", word, f"SIGNING_KEY={word}"),
        ("any variable that is a key", word, f"WIDGET_KEY={word}"),
        ("ssh key", word, f"SSH_KEY={word}"),
        ("credentials", word, f"CREDS={word}"),
        ("data source", word, f"SENTRY_DSN=https://{word}@o1.ingest.sentry.io/1"),
        ("passphrase", word, f"passphrase: {word}"),
        ("client secret", word, f'"client_secret":"{word}"'),
        ("toml", word, f'token = "{word}"'),
        ("webhook", token, f"DEPLOY_WEBHOOK_URL=https://ci.example/hook/{token}"),
        ("printed by another program", token, f"vault kv get kv/x -> {token}"),
        ("private key", lines[3], key),
        ("private key in json", lines[3], quoted({"private_key": key})),
        ("private key in one line", lines[3], key.replace("\n", "\\n")),
        ("private key, cut off", lines[3], key[:300]),
        ("openssh key", lines[2], key.replace("RSA", "OPENSSH")),
        ("step output", output, quoted({"logs": [{"data": output}]})),
        ("short step output", short, '{"logs":[{"data":"' + short + '"}]}'),
        ("base64 in a log", output, f"decoded {output} end"),
        ("literal of kubectl", word, f"kubectl create secret generic x --from-literal=password={word}"),
        ("environment of a container", word, f"docker run -e DB_PASSWORD={word} x"),
        ("environment in Go", word, f"Env:[A=1 DB_PASSWORD={word} PATH=/bin]"),
        ("attributes in Go", word, f"attrs=map[build-arg:X_TOKEN:{word} filename:Dockerfile]"),
        ("jdbc", word, f"jdbc:postgresql://h/db?user=u&password={word}"),
        ("connection string", word, f'connectionString="Data Source=x;Password={word}"'),
        ("short connection string", word, f"Server=x;Pwd={word}"),
        ("encoded json", word, f"%7B%22password%22%3A%22{word}%22%7D"),
        ("shell's own quotes", word, f"export TOKEN=$'{word}'"),
        ("netrc in lines", word, f"machine x\n  login y\n  password {word}\n"),
        ("quoted short flag", word, f"podman login -p '{word}' -u x reg"),
        ("a value's own object", word, f'"password" : {{"value":"{word}"}}'),
        ("yaml tag", word, f"password: !vault |\n  {word}\n"),
        ("yaml, next line", word, f"password:\n  {word}\n"),
        ("yaml name and value", word, f"- name: TOKEN\n  value: {word}\n"),
        ("yaml folded", word, f"  TOKEN: >-\n    {word}\n"),
        ("powershell", word, f"$env:TOKEN = '{word}'"),
        ("npm's command", word, f"npm config set //registry.npmjs.org/:_authToken {word}"),
        ("curl's oauth", word, f"curl --oauth2-bearer {word} x"),
        ("proxy", word, f"HTTP_PROXY=http://u:{word}@proxy:3128/"),
        ("redis", word, f"redis-cli -a {word} ping"),
        ("line in json", word, quoted({"config.ini": f"A=1\nDB_PASSWORD={word}\nB=2"})),
    ):
        yield Sample(name, secret, f"time=x level=debug msg=y {text}\n" if "\n" not in text else text)


def of_later_issuers(seed: int) -> Iterator[Sample]:
    """Yield tokens whose issuers came later, or are nobody that is known."""
    d = _Draw(seed + 3)
    uuid = "-".join(d(length, HEX) for length in (8, 4, 4, 4, 12))
    forms = {
        "amazon marketplace": f"amzn.mws.{uuid}",
        "asana": f"1/{d(16, string.digits)}:{d(32, HEX)}",
        "crates.io": "cio" + d(31) + "A",
        "depot": "depot_project_" + d(64, HEX),
        "elastic": base64.b64encode(f"{d(20)}:a1B{d(1, HEX)}C2d3E4f5G6h7I8j9K0".encode()).decode(),
        "github app": "v1." + d(40, HEX),
        "ibm": f"ApiKey-{uuid}",
        "langsmith": f"lsv2_pt_{d(32, HEX)}_{d(10, HEX)}",
        "mailchimp": f"{d(32, HEX)}-us14",
        "neon": "napi_" + d(64, LOWER),
        "openai's likes": "sk-" + d(32, HEX),
        "paypal": f"access_token$production${d(16, HEX)}${d(32, HEX)}",
        "render": "rnd_" + d(28),
        "shopify partner": "shpua_" + d(32, HEX),
        "snyk": f"snyk_uat.{d(8, HEX)}.{d(40)}",
        "wakatime": f"waka_{uuid}",
        "an issuer of tomorrow": "acme_live_a1B2c3D4" + d(28),
    }
    for name, token in forms.items():
        yield Sample(name, token, f"#12 0.431 + printing {token}\n")


def typed(seed: int) -> Iterator[Sample]:
    """Yield what is given to programs in words of their own, which do not say that it is a secret."""
    word = "qT7" + _Draw(seed + 4)(12)
    for line in (
        "7z x -p{s} a.7z",
        "aws configure set aws_secret_access_key {s}",
        "bindpw {s}",
        'cat <<< "{s}" | docker login --password-stdin',
        "codecov -t {s}",
        "echo {s} | gh auth login --with-token",
        "gh auth login --with-token <<< {s}",
        "ipmitool -H h -U u -P {s} chassis",
        "keytool -list -storepass {s}",
        "ldapsearch -x -D cn=admin -w {s} -b dc=x",
        "mvn sonar:sonar -Dsonar.login={s}",
        "net use x: \\\\h\\s /user:u {s}",
        "nuget setapikey {s} -source x",
        "printf 'password=%s' {s}",
        "pulumi config set --secret dbPassword {s}",
        "requirepass {s}",
        "smbclient //h/s -U u%{s}",
        "snmpget -v3 -A {s} h",
        "snyk auth {s}",
        "sqlcmd -S x -U sa -P '{s}'",
        "twine upload -u __token__ -p {s} d/*",
        "unzip -P {s} x.zip",
        "useradd -p {s} bob",
        "vault login {s}",
        "xfreerdp /u:x /p:{s} /v:h",
    ):
        yield Sample(line, word, f"+ {line.format(s=word)}\n")


def written(seed: int) -> Iterator[Sample]:
    """Yield what programs, configurations and sentences say is a secret, each in its own grammar."""
    word = "qT7" + _Draw(seed + 5)(12)
    for line in (
        "{s} is the password",
        "the token is {s}",
        "Your API key: {s}",
        "password for u set to {s}",
        'using password "{s}" for user x',
        "API_KEY_STAGING={s}",
        "db_pass_old = {s}",
        'apikey_myservice: "{s}"',
        'if ("{s}" == my_password) {{',
        "if ('{s}' !== secret) {{",
        'password = @"{s}";',
        'secret[] = "{s}";',
        'char password[25] = "{s}";',
        'std::string password("{s}");',
        'password.assign("{s}", 17);',
        'password "{s}";',
        'passwords = ["{s}", "b"]',
        'const API_KEY: &str = "{s}";',
        'Dim password As String = "{s}"',
        'password <- "{s}"',
        ':password "{s}"',
        "define( 'AUTH_KEY',         '{s}' );",
        "ALTER USER x WITH PASSWORD '{s}';",
        "CREATE USER x IDENTIFIED BY '{s}';",
        'ConvertTo-SecureString -String "{s}" -AsPlainText',
        'credentials += Credentials("realm", "h", "u", "{s}")',
        'variable "api_token" {{\n  default = "{s}"\n}}',
        "db.password\\={s}",
        "<password><![CDATA[{s}]]></password>",
        '<meta name="csrf-token" content="{s}">',
        "DB_PASSWORD,{s}",
        "PASS=${{PASS:-{s}}}",
        "db.corp:5432:app:u:{s}",
        "jdbc:oracle:thin:u/{s}@h:1521",
        "X-Goog-Signature={s}",
        "::add-mask::{s}",
    ):
        yield Sample(line, word, f"{line.format(s=word)}\n")


def of_services(seed: int) -> Iterator[Sample]:
    """Yield keys without a form, behind services' names, in the contexts that gitleaks tries its own rules with.

    See `GenerateSampleSecrets` in its cmd/generate/config/utils/generate.go.
    """
    d = _Draw(seed + 2)
    contexts = (
        '{i}Token="{s}"',
        "{i}Token = {s}",
        '{{\n    "{i}_token": "{s}"\n}}',
        '{{"config.ini": "{i}_TOKEN={s}\\nBACKUP_ENABLED=true"}}',
        "<{i}Token>\n    {s}\n</{i}Token>",
        '<entry name="{i}Token" value="{s}" />',
        "{i}_token: {s}",
        "{i}_token: |\n  {s}",
        'string {i}Token = "{s}";',
        "{i}Token := `{s}`",
        '${i}Token .= "{s}"',
        "https://example.com?{i}Token={s}&fooBar=baz",
        'System.setProperty("{i}_TOKEN", "{s}")',
        '  "{i}Token" => "{s}"',
        '{i}_TOKEN :::= "{s}"',
        '{i}_TOKEN ?= "{s}"',
        "{i}_api = '{s}'",
        '"{i}": "{s}"',
    )
    for context in contexts:
        for service in ("datadog", "jfrog"):
            secret = d(32, LOWER)
            yield Sample(f"{service}, {context!r}", secret, context.format(i=service, s=secret))


def as_others_print(seed: int) -> Iterator[Sample]:
    """Yield what connections, other notations of quotes, hashes and pipes hold."""
    d = _Draw(seed + 6)
    word, token = "qT7" + d(12), d(20, "abcdef") + d(20, string.digits)
    for line in (
        "Server=db;UID=sa;PWD={s};",
        "ARG GH_PAT={s}",
        "langfuse_secret_key1 = {s}",
        "curl -sSfu deploy:{s} https://n.example.com/x",
        "bundle config set gems.example.com ci:{s}",
        "mc alias set minio http://m:9000 admin {s}",
        "rabbitmqctl add_user ci {s}",
        "https -a ci:{s} n.example.com",
        "lftp -u ci,{s} ftp.example.com",
        "influx -username ci -password {s}",
        "plink -pw {s} ci@h",
        "kubectl create secret generic x --from-literal=any={s}",
        "gh secret set X --body {s}",
        "echo {s} | sudo -S apt-get update",
        "printf '%s' {s} | docker secret create x -",
        "{{\\u0022password\\u0022:\\u0022{s}\\u0022}}",
        "{{&quot;password&quot;:&quot;{s}&quot;}}",
    ):
        yield Sample(line, word, f"{line.format(s=word)}\n")
    for line in ("Using Key={s} of it", 'acmeKey := "{s}"', "Your ACME key is {s}, keep it"):
        yield Sample(line, token, f"{line.format(s=token)}\n")
    for name, value in {
        "razorpay": "rzp_live_" + d(14),
        "langfuse": "sk-lf-" + "-".join(d(length, HEX) for length in (8, 4, 4, 4, 12)),
        "shadow": f"$6${d(12)}${d(86)}",
        "bcrypt": f"$2y$10${d(53)}",
        "argon2": f"$argon2id$v=19$m=65536,t=3,p=4${d(22)}${d(43)}",
        "slapd": "{SSHA}" + d(32),
    }.items():
        yield Sample(name, value, f"root:{value}:19700:0\n")


def as_talked(seed: int) -> Iterator[Sample]:
    """Yield what protocols, prompts, tables and other languages' code say, of passwords that people choose."""
    d = _Draw(seed + 7)
    word, number = f"Sommer{d(4, string.digits)}wind", d(32, HEX)
    plain = base64.b64encode(f"\0ci\0{word}".encode()).decode()
    shut = base64.b64encode(word.encode()).decode()
    packed = base64.b64encode(gzip.compress(f'{{"password":"{word}"}}'.encode(), mtime=0)).decode()
    static = "\n".join(d(32, HEX) for _ in range(16))
    for line in (
        'network={{\n ssid="home"\n psk="{s}"\n}}',
        'expect "assword:"\nsend "{s}\\r"',
        'execve("/usr/bin/mysql", ["mysql", "-uroot", "-p{s}", "db"], 0x7ffe) = 0',
        "poetry config pypi-token.pypi {s}",
        '{{"github-oauth":{{"github.com":"{s}"}}}}',
        "token                {s}",
        "user default on >{s} ~* +@all",
        "a1 LOGIN ci {s}",
        "USER ci\n331 need\nPASS {s}\n230 ok",
        "rocommunity {s} default",
        "sqlplus scott/{s}@orcl",
        '<string name="api_key">{s}</string>',
        "<key>Password</key>\n<string>{s}</string>",
        "schtasks /create /ru u /rp {s} /tn x",
        "psexec \\\\h -u u -p {s} cmd",
        "| DB_PASSWORD | {s} |",
        "│ db_password │ {s} │",
        '<input type="password" name="p" value="{s}">',
        'Content-Disposition: form-data; name="password"\r\n\r\n{s}\r\n--x--',
        "requests.get(u, auth=('ci', '{s}'))",
        'HTTPBasicAuth("ci", "{s}")',
        'new NetworkCredential("ci", "{s}")',
        'mysqli_connect("h", "ci", "{s}", "db")',
        'DriverManager.getConnection(u, "ci", "{s}")',
        'new PDO($dsn, "ci", "{s}")',
        "[sudo] password for bob: {s}",
        "Enter PEM pass phrase:{s}",
        "default login: admin / {s}",
        "log in as admin:{s}",
        "A temporary password is generated for root@localhost: {s}",
        "Please use the following password to proceed:\n\n{s}\n",
        "PASSWORD elastic = {s}",
    ):
        yield Sample(line, word, f"{line.format(s=word)}\n")
    for name, secret, text in (
        ("digest", number, f'Authorization: Digest username="u", uri="/", response="{number}"'),
        ("session in an address", number, f"GET /x;jsessionid={number}?a=1"),
        ("openvpn", static[70:90], f"-----BEGIN OpenVPN Static key V1-----\n{static}\n-----END"),
        ("packed", packed, json.dumps({"data": {"release": packed}})),
        ("smtp", plain, f"AUTH PLAIN {plain}"),
        ("smtp, asked", shut, f"334 VXNlcm5hbWU6\nY2k=\n334 UGFzc3dvcmQ6\n{shut}\n235 ok"),
        ("vault, begun", number, f"Unseal Key 1: {number}"),
    ):
        yield Sample(name, secret, f"{text}\n")
