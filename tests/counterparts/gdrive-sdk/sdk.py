# Google's own client for Python, asked over standard input: one JSON object a line, one line of JSON
# for each answer. It ends when its standard input ends, so it never outlives the test that started it.
import base64
import io
import json
import sys
from urllib.parse import urlsplit

import google_auth_httplib2
import httplib2
from google.oauth2 import credentials, service_account
from googleapiclient import errors
from googleapiclient.discovery import build
from googleapiclient.http import MediaIoBaseDownload, MediaIoBaseUpload


class Simulator(httplib2.Http):
    """Sends requests to a simulator on this machine; the `Host` header says for which host."""

    def __init__(self, port, token=None):
        super().__init__(timeout=30)
        self.port, self.token = port, token
        # As `googleapiclient.http.build_http` does.
        self.redirect_codes = self.redirect_codes - {308}

    def request(self, uri, method="GET", body=None, headers=None, **rest):
        parts = urlsplit(uri)
        if parts.scheme != "https":
            raise RuntimeError("the client does not use TLS")
        headers = dict(headers or {})
        headers["host"] = parts.netloc
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        local = f"http://127.0.0.1:{self.port}{parts.path}"
        if parts.query:
            local += f"?{parts.query}"
        return super().request(local, method=method, body=body, headers=headers, **rest)


def drive(app):
    return build("drive", "v3", http=Simulator(app["port"], app["token"]), static_discovery=True)


def outcome(work):
    """What the client returns, or that it raised one of its own errors."""
    try:
        return {"answer": work()}
    except errors.HttpError as error:
        details = error.error_details
        reasons = [it.get("reason") for it in details] if isinstance(details, list) else []
        return {"refusal": {"status": error.status_code, "reasons": reasons}}


def list_files(app, query, page_size):
    def work():
        files, names = drive(app).files(), []
        request = files.list(q=query, pageSize=page_size, fields="nextPageToken,files(id,name,size)")
        while request is not None:
            page = request.execute()
            names += [it["name"] for it in page["files"]]
            request = files.list_next(request, page)
        return names

    return outcome(work)


def upload(app, name, content, chunk, file_id=None):
    def work():
        media = MediaIoBaseUpload(
            io.BytesIO(base64.b64decode(content)),
            mimetype="application/zip",
            chunksize=chunk,
            resumable=True,
        )
        files, fields = drive(app).files(), "id,name,size,md5Checksum,sha256Checksum"
        if file_id:
            request = files.update(fileId=file_id, media_body=media, fields=fields)
        else:
            request = files.create(body={"name": name}, media_body=media, fields=fields)
        file, progress, failures = None, [], 0
        while file is None:
            try:
                status, file = request.next_chunk()
            except errors.HttpError as error:
                # As its documentation says: after a failure of Google's, it asks how far it came.
                failures += 1
                if error.status_code < 500 or failures > 9:
                    raise
                continue
            if status:
                progress.append(status.resumable_progress)
        return {"file": file, "progress": progress}

    return outcome(work)


def upload_at_once(app, name, content):
    def work():
        media = MediaIoBaseUpload(io.BytesIO(base64.b64decode(content)), mimetype="text/plain")
        create = drive(app).files().create(body={"name": name}, media_body=media, fields="id,name,size")
        return create.execute()

    return outcome(work)


def download(app, file_id, chunk):
    def work():
        content = io.BytesIO()
        request = drive(app).files().get_media(fileId=file_id)
        loader = MediaIoBaseDownload(content, request, chunksize=chunk)
        loader._sleep = lambda _: None
        done, rounds = False, 0
        while not done:
            _, done = loader.next_chunk(num_retries=3)
            rounds += 1
        return {"content": base64.b64encode(content.getvalue()).decode(), "rounds": rounds}

    return outcome(work)


def export(app, file_id, mime_type):
    def work():
        return drive(app).files().export(fileId=file_id, mimeType=mime_type).execute().decode()

    return outcome(work)


def start_page_token(app):
    return outcome(lambda: drive(app).changes().getStartPageToken().execute()["startPageToken"])


def changes(app, token):
    def work():
        seen, at = [], token
        while True:
            page = drive(app).changes().list(pageToken=at, pageSize=2, includeRemoved=True).execute()
            seen += [(it["fileId"], it["removed"]) for it in page["changes"]]
            if "nextPageToken" not in page:
                return {"changes": seen, "token": page["newStartPageToken"]}
            at = page["nextPageToken"]

    return outcome(work)


def batch(app, file_ids):
    def work():
        service, seen = drive(app), {}

        def keep(number, file, error):
            seen[int(number)] = file["name"] if file else f"error {error.status_code}"

        calls = service.new_batch_http_request(callback=keep)
        for number, file_id in enumerate(file_ids):
            calls.add(service.files().get(fileId=file_id, fields="name"), request_id=str(number))
        calls.execute()
        return [seen[number] for number in range(len(file_ids))]

    return outcome(work)


def share(app, file_id, address):
    def work():
        permissions = drive(app).permissions()
        body = {"type": "user", "role": "reader", "emailAddress": address}
        permissions.create(fileId=file_id, body=body, sendNotificationEmail=False).execute()
        return [it["role"] for it in permissions.list(fileId=file_id).execute()["permissions"]]

    return outcome(work)


def comment(app, file_id, text, reply):
    def work():
        service = drive(app)
        made = service.comments().create(fileId=file_id, body={"content": text}, fields="id").execute()
        at = {"fileId": file_id, "commentId": made["id"]}
        service.replies().create(**at, body={"content": reply}, fields="id").execute()
        read = service.comments().get(**at, fields="content,replies(content)").execute()
        return [read["content"]] + [it["content"] for it in read["replies"]]

    return outcome(work)


def watch(app, channel, address):
    def work():
        service = drive(app)
        token = service.changes().getStartPageToken().execute()["startPageToken"]
        body = {"id": channel, "type": "web_hook", "address": address, "token": "secret"}
        opened = service.changes().watch(pageToken=token, body=body).execute()
        service.channels().stop(body={"id": channel, "resourceId": opened["resourceId"]}).execute()
        return opened["kind"]

    return outcome(work)


def refresh(app, refresh_token, scopes):
    held = credentials.Credentials(
        token=None,
        scopes=scopes,
        refresh_token=refresh_token,
        token_uri="https://oauth2.googleapis.com/token",
        client_id=app["client_id"],
        client_secret=app["client_secret"],
    )
    held.refresh(google_auth_httplib2.Request(Simulator(app["port"])))
    return {"answer": {"token": held.token, "refresh_token": held.refresh_token, "scopes": held.granted_scopes}}


def mint(app, key_file, scopes, user):
    held = service_account.Credentials.from_service_account_info(key_file, scopes=scopes, subject=user)
    held.refresh(google_auth_httplib2.Request(Simulator(app["port"])))
    return {"answer": held.token}


QUESTIONS = {
    it.__name__: it
    for it in (
        list_files, upload, upload_at_once, download, export, start_page_token, changes, batch, share,
        comment, watch, refresh, mint,
    )
}

for line in sys.stdin:
    question = json.loads(line)
    answer = QUESTIONS[question.pop("ask")](**question)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
