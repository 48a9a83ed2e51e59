use super::operation;
use crate::models::{Comment, CommentWrite, FileId, Mask, Reply, ReplyWrite, User};

fn usual() -> Mask<Comment> {
    Mask::<Comment>::new()
        .id()
        .content()
        .author()
        .within(person())
        .anchor()
        .created_time()
        .modified_time()
        .resolved()
        .deleted()
        .replies()
        .within(usual_reply())
}

fn usual_reply() -> Mask<Reply> {
    Mask::<Reply>::new()
        .id()
        .content()
        .author()
        .within(person())
        .action()
        .created_time()
        .modified_time()
        .deleted()
}

fn person() -> Mask<User> {
    Mask::<User>::new().display_name().me()
}

operation! {
    /// Lists the comments on a file, page by page.
    ///
    /// See [Google Drive docs: comments.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/comments/list).
    ListComments(file_id: FileId);
    "comments.list" GET "/drive/v3/files/{fileId}/comments";
    Safe READ_CONTENT LIST;
    query {
        /// Sets whether deleted comments are returned, without their text.
        with_include_deleted("includeDeleted"): bool,
        /// Returns only comments that changed at or after this time (RFC 3339).
        with_start_modified_time("startModifiedTime"): String,
        /// Sets the maximum number of comments per page: 1 to 100. Default: 20.
        with_page_size("pageSize"): u32,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(Comment) "comments" usual()
}

operation! {
    /// Returns a comment.
    GetComment(file_id: FileId, comment_id: String);
    "comments.get" GET "/drive/v3/files/{fileId}/comments/{commentId}";
    Safe READ_CONTENT READ;
    query {
        /// Sets whether the comment is returned even if it was deleted.
        with_include_deleted("includeDeleted"): bool,
    }
    returns json(Comment) usual()
}

operation! {
    /// Creates a comment on a file.
    ///
    /// See [Google Drive docs: comments.create](https://developers.google.com/workspace/drive/api/reference/rest/v3/comments/create).
    CreateComment(file_id: FileId; comment: CommentWrite);
    "comments.create" POST "/drive/v3/files/{fileId}/comments";
    Never SHARE EDIT;
    returns json(Comment) usual()
}

operation! {
    /// Changes the text of a comment that the user wrote.
    UpdateComment(file_id: FileId, comment_id: String; comment: CommentWrite);
    "comments.update" PATCH "/drive/v3/files/{fileId}/comments/{commentId}";
    Safe SHARE EDIT;
    returns json(Comment) usual()
}

operation! {
    /// Deletes a comment.
    DeleteComment(file_id: FileId, comment_id: String);
    "comments.delete" DELETE "/drive/v3/files/{fileId}/comments/{commentId}";
    Safe SHARE EDIT;
    returns nothing
}

operation! {
    /// Lists the replies to a comment, page by page.
    ListReplies(file_id: FileId, comment_id: String);
    "replies.list" GET "/drive/v3/files/{fileId}/comments/{commentId}/replies";
    Safe READ_CONTENT LIST;
    query {
        /// Sets whether deleted replies are returned, without their text.
        with_include_deleted("includeDeleted"): bool,
        /// Sets the maximum number of replies per page: 1 to 100. Default: 20.
        with_page_size("pageSize"): u32,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(Reply) "replies" usual_reply()
}

operation! {
    /// Returns a reply.
    GetReply(file_id: FileId, comment_id: String, reply_id: String);
    "replies.get" GET "/drive/v3/files/{fileId}/comments/{commentId}/replies/{replyId}";
    Safe READ_CONTENT READ;
    query {
        /// Sets whether the reply is returned even if it was deleted.
        with_include_deleted("includeDeleted"): bool,
    }
    returns json(Reply) usual_reply()
}

operation! {
    /// Creates a reply to a comment. The reply can also resolve or reopen the comment.
    CreateReply(file_id: FileId, comment_id: String; reply: ReplyWrite);
    "replies.create" POST "/drive/v3/files/{fileId}/comments/{commentId}/replies";
    Never SHARE EDIT;
    returns json(Reply) usual_reply()
}

operation! {
    /// Changes the text of a reply that the user wrote.
    UpdateReply(file_id: FileId, comment_id: String, reply_id: String; reply: ReplyWrite);
    "replies.update" PATCH "/drive/v3/files/{fileId}/comments/{commentId}/replies/{replyId}";
    Safe SHARE EDIT;
    returns json(Reply) usual_reply()
}

operation! {
    /// Deletes a reply.
    DeleteReply(file_id: FileId, comment_id: String, reply_id: String);
    "replies.delete" DELETE "/drive/v3/files/{fileId}/comments/{commentId}/replies/{replyId}";
    Safe SHARE EDIT;
    returns nothing
}
