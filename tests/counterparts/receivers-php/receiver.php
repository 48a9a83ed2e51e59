<?php
// The example of the documentation, asked over standard input: one JSON object a line, one line of
// JSON for each answer. The program ends when its standard input ends.
while (($line = fgets(STDIN)) !== false) {
    $question = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
    if ($question['ask'] === 'load') {
        eval('?>' . $question['source']);
        $answer = function_exists('verify');
    } else {
        $body = base64_decode($question['body']);
        $answer = ['example' => verify($question['secret'], $question['headers'], $body)];
    }
    fwrite(STDOUT, json_encode($answer) . "\n");
}
