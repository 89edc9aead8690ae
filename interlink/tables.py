"""The Arrow schemas of the tables: the contract between the stages.

Each table has the columns COMMON and those of its stage. Times are presentation times in seconds; sizes are bytes;
images are (width, height) pixels as displayed (rotation and sample aspect ratio applied). Stages fill a column of type
BLOB with `interlink.stage.Blob`; it is read back as a reference {blob, offset, size, sha256}.
"""

from __future__ import annotations

import pyarrow as pa

FORMAT_VERSION = "1"

BLOB = pa.struct([("blob", pa.string()), ("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])

COMMON: list[tuple[str, pa.DataType]] = [
    ("id", pa.string()),
    ("status", pa.string()),  # ok | dropped | failed
    ("reason", pa.string()),  # of a drop: a short_identifier
    ("error_class", pa.string()),  # of a failure: a key of errors.FAILURES
    ("message", pa.string()),
    ("partial", pa.bool_()),
]

# timed: the word's start comes from the file or the recogniser, not from dividing its cue.
WORD = pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("timed", pa.bool_())])

SENTENCE = pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("words", pa.list_(WORD))])

# A stretch of recognised speech, kept or not. no_speech, logprob: the engine's probability of no speech and mean log
# probability of its tokens; null if it gives none. compression: bytes over compressed bytes; repetition: share (0..1)
# of words that repeat the phrase before them. reason (not kept): no_speech, stock_phrase, repetitive or low_confidence.
HEARD = pa.struct(
    [
        ("text", pa.string()),
        *((name, pa.float64()) for name in ("start", "end", "no_speech", "logprob", "compression", "repetition")),
        ("kept", pa.bool_()),
        ("reason", pa.string()),
    ]
)

# What is in the captions and is not speech: [Music], (applause), sung lines, names of speakers, texts on the picture.
MARK = pa.struct(
    [
        ("text", pa.string()),  # without its brackets
        ("kind", pa.string()),  # music | sound | speaker | overlay | long (speech in a cue that stands far too long)
        *((name, pa.float64()) for name in ("start", "end")),
    ]
)

# Seconds of sound in the file, and the shares of them (0..1) that are speech, silence, and other sound (music, noise).
SOUND = pa.struct([(name, pa.float64()) for name in ("seconds", "speech", "silence", "other")])

FRAME = pa.struct(
    [
        ("time", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sharpness", pa.float64()),  # variance of the Laplacian on the grey thumbnail
        ("novelty", pa.float64()),  # smallest distance (0..1) to the clip's frames chosen before it; 1 for the first
        ("light", pa.float64()),  # mean luma, 0 (black) to 1 (white)
        ("settled", pa.bool_()),  # not in or next to a transition
        ("print", pa.float64()),  # share (0..1) of the picture that looks like printed text
        ("spoken", pa.bool_()),  # during speech; null if the stage did not read the transcript
        ("image", BLOB),  # JPEG
    ]
)

# A clip as a separate file. If it could not be made, `problem` says why and `file` is null.
CLIP_FILE = pa.struct(
    [
        ("how", pa.string()),  # copy | exact | m4a | flac
        ("start", pa.float64()),  # of the file: a copy extends from keyframe to keyframe
        ("end", pa.float64()),
        ("pictures", pa.int32()),  # 0 for sound
        ("file", BLOB),
        ("problem", pa.string()),  # class: message
    ]
)

CLIP = pa.struct(
    [
        ("start", pa.float64()),
        ("end", pa.float64()),
        # Mean change between looks at least a second apart (grey levels, 0..765); null: too short for two looks.
        ("motion", pa.float64()),
        # Share (0..1) of the clip that shows a speaker in a still shot; null: too short, or no face detector.
        ("talking", pa.float64()),
        ("print", pa.float64()),  # median of the frames
        ("sharpness", pa.float64()),  # median of the candidate frames; low = blurred
        ("light", pa.float64()),  # median of the candidate frames
        ("frames", pa.list_(FRAME)),
        ("video", CLIP_FILE),  # null if the recipe makes none
        ("audio", CLIP_FILE),
    ]
)

# tone_mapped: pq | hlg | bt2020, or null; deinterlaced: some pictures were interlaced; composed: transparent pictures
# were put on white.
TREATMENT = pa.struct([("tone_mapped", pa.string()), ("deinterlaced", pa.bool_()), ("composed", pa.bool_())])

SPAN = pa.struct([("start", pa.float64()), ("end", pa.float64())])

# One row of the source. `uri` is an absolute path (for a page: of its file, with the place in `metadata`), or a URL
# that `download` fetches.
COLLECT: list[tuple[str, pa.DataType]] = [
    ("kind", pa.string()),  # file | url: videos; pair: a picture with texts; page: a web page
    ("uri", pa.string()),
    ("path", pa.string()),  # of a file: relative to the source folder (goes into documents); else empty
    ("video_id", pa.string()),  # the site's id if there is one, else the item's id
    ("title", pa.string()),
    ("category", pa.string()),
    ("licence", pa.string()),
    ("dataset", pa.string()),
    ("metadata", pa.string()),  # JSON: the other columns of the source list
]

DOWNLOAD: list[tuple[str, pa.DataType]] = [
    ("media", pa.string()),  # absolute path of a local source, or `media/...` relative to the root
    ("sha256", pa.string()),
    ("size", pa.int64()),
    ("title", pa.string()),
    ("url", pa.string()),  # the page or file URL; empty for local sources
    ("info", pa.string()),  # JSON: id, extractor, uploader, licence, upload_date, duration, from the site
    ("subtitles", pa.list_(pa.struct([("name", pa.string()), ("language", pa.string()), ("data", BLOB)]))),
    # The original pictures of a pair or page, which have no `media`. slot: place on the page; problem: `class: message`
    # of a missing picture. `info` then holds the page's {"texts": [text or null for each slot]}.
    ("pictures", pa.list_(pa.struct([("slot", pa.int32()), ("data", BLOB), ("problem", pa.string())]))),
]

# Published texts. file, revision: of the annotation file, or `source list`; spans in order of time, in the container's
# clock; an end may be inf (to the end of the video).
ANNOTATED = pa.struct(
    [
        ("file", pa.string()),
        ("revision", pa.string()),
        ("spans", pa.list_(pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64())]))),
    ]
)

ANNOTATIONS: list[tuple[str, pa.DataType]] = [
    ("clips", ANNOTATED),  # disjoint; null: none for this item
    ("speech", ANNOTATED),  # may overlap; null: none for this item
    ("clock_offset", pa.float64()),  # seconds added to times that count from where a player begins
]

TRANSCRIBE: list[tuple[str, pa.DataType]] = [
    ("source", pa.string()),  # annotations | sidecar | embedded | recognised | none
    ("name", pa.string()),  # of the subtitle file or stream it came from
    ("format", pa.string()),  # vtt, srt, sbv, json3, srv1, srv2, srv3, ttml, ssa, or the codec of the stream
    ("language", pa.string()),  # stated by the file, stream or recogniser, else detected
    ("detected", pa.struct([("language", pa.string()), ("probability", pa.float64())])),  # from the text; or null
    ("clock_offset", pa.float64()),  # seconds added to the times of a sidecar file
    ("sentences", pa.list_(SENTENCE)),
    ("marks", pa.list_(MARK)),
    ("heard", pa.list_(HEARD)),  # of a recogniser: all that it heard
    ("sound", SOUND),  # null if the sound was not analysed
    ("engine", pa.string()),  # of a recogniser; with it model, revision and parameters (JSON)
    ("model", pa.string()),
    ("revision", pa.string()),
    ("parameters", pa.string()),
]

# The estimated shift between speech and picture.
ALIGN: list[tuple[str, pa.DataType]] = [
    ("lead", pa.float64()),  # seconds by which speech precedes the picture; negative: it follows; null: unknown
    ("confidence", pa.float64()),  # 0..1
    ("onsets", pa.int32()),  # number of sentences and picture changes in the estimate
    ("changes", pa.int32()),
]

KEYFRAMES: list[tuple[str, pa.DataType]] = [
    ("duration", pa.float64()),  # of the video stream as decoded, seconds
    ("start", pa.float64()),  # presentation time of the first frame
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("fps", pa.float64()),  # average
    ("codec", pa.string()),
    ("rotation", pa.int32()),  # degrees clockwise that were applied
    ("decoded", pa.string()),  # sparse | all: how much of the video was decoded
    ("black", pa.list_(SPAN)),
    ("frozen", pa.list_(SPAN)),  # spans of at least a second in which looks do not differ
    ("picture", TREATMENT),  # what was done to the pictures; null: nothing
    ("clips", pa.list_(CLIP)),
]

# The engine and its prompt: `Identity.columns`.
ANSWERED: list[tuple[str, pa.DataType]] = [
    ("engine", pa.string()),
    ("model", pa.string()),
    ("revision", pa.string()),
    ("prompt_hash", pa.string()),
    ("parameters", pa.string()),  # JSON
]

# Pixels of the stored frame, from its upper left corner.
BOX = pa.struct([(side, pa.float64()) for side in ("left", "top", "right", "bottom")])

# A line of text read in one frame, or the description of a region; score (0..1) and box are null if the engine gives
# none.
READING: list[tuple[str, pa.DataType]] = [("text", pa.string()), ("score", pa.float64()), ("box", BOX)]

OCR: list[tuple[str, pa.DataType]] = [
    *ANSWERED,
    # The frames that were read: (clip, frame) are indices into keyframes.clips[clip].frames[frame].
    (
        "frames",
        pa.list_(pa.struct([("clip", pa.int32()), ("frame", pa.int32()), ("lines", pa.list_(pa.struct(READING)))])),
    ),
    # The same lines merged over time: start and end are the times of the first and last of the `frames` that show it.
    (
        "lines",
        pa.list_(pa.struct([*READING, ("start", pa.float64()), ("end", pa.float64()), ("frames", pa.int32())])),
    ),
]

# Descriptions of regions of frames. regions: in the model's order; score is null if the model gives none.
REGIONS: list[tuple[str, pa.DataType]] = [
    *ANSWERED,
    # (clip, frame) are indices into keyframes.clips[clip].frames[frame].
    (
        "frames",
        pa.list_(pa.struct([("clip", pa.int32()), ("frame", pa.int32()), ("regions", pa.list_(pa.struct(READING)))])),
    ),
]

CAPTION: list[tuple[str, pa.DataType]] = [
    *ANSWERED,
    # Parallel to keyframes.clips: clip = index there; caption may be empty (then `flag` says why).
    # fit: the engine's own cosine of caption and frames; tokens: length of the answer. Null if the engine gives none.
    (
        "clips",
        pa.list_(
            pa.struct(
                [
                    ("clip", pa.int32()),
                    ("caption", pa.string()),
                    ("flag", pa.string()),
                    ("fit", pa.float64()),
                    ("tokens", pa.int32()),
                ]
            )
        ),
    ),
]

NARRATE: list[tuple[str, pa.DataType]] = [
    *ANSWERED,  # its parameters also have `style` and `history`
    # flag: faults of the final answer, separated by commas (interlink.narrate.checks); empty: none.
    # asked: number of answers it took (0: no request was sent).
    (
        "clips",
        pa.list_(
            pa.struct([("clip", pa.int32()), ("narration", pa.string()), ("flag", pa.string()), ("asked", pa.int32())])
        ),
    ),
]

# Scores of a clip's text: its narration if it has one, else its caption. A score is null if there is nothing to score
# (no text, no frame, no engine). Vectors are float16, as the image–text model makes them, or empty.
SCORE: list[tuple[str, pa.DataType]] = [
    *ANSWERED,  # of image and text
    ("checkers", pa.list_(pa.struct(ANSWERED))),  # safety checkers that have a model
    ("language", pa.string()),  # of all texts of the video, two letters; empty: unknown
    ("probability", pa.float64()),  # of that language, 0..1
    (
        "clips",
        pa.list_(
            pa.struct(
                [
                    ("clip", pa.int32()),
                    ("similarity", pa.float64()),  # cosine of text and frame, mean over the frames
                    ("best", pa.float64()),  # … of the best frame
                    ("agreement", pa.float64()),  # share of the shorter side's content words that both have
                    ("tokens", pa.int32()),  # of the text
                    ("repetition", pa.float64()),  # share of the text's 4-grams that repeat earlier ones
                    ("personal", pa.int32()),  # e-mail addresses and telephone numbers in text and speech
                    ("safety", pa.float64()),  # highest value of all checkers, 0 (harmless) to 1; null: no checker
                    ("unsafe", pa.string()),  # that checker and what it found
                ]
            )
        ),
    ),
    (
        "frames",
        pa.list_(
            pa.struct(
                [
                    ("clip", pa.int32()),
                    ("frame", pa.int32()),
                    ("hash", pa.int64()),  # 64 bits of the signs of differences between neighbours (dHash)
                    ("similarity", pa.float64()),
                    ("vector", pa.binary()),
                ]
            )
        ),
    ),
    # role narration or caption: the text's sentences; speech: the clip's sentences in the transcribe table.
    (
        "sentences",
        pa.list_(
            pa.struct(
                [
                    ("clip", pa.int32()),
                    ("role", pa.string()),
                    ("sentence", pa.int32()),
                    ("vector", pa.binary()),
                ]
            )
        ),
    ),
]

# The summary of a video for decisions over the whole build, small enough to read all at once.
SKETCH: list[tuple[str, pa.DataType]] = [
    ("frames", pa.binary()),  # MinHash of pieces of the frames' hashes: 64 × uint32, or empty
    ("hashes", pa.binary()),  # of at most 64 frames, evenly chosen, that are not flat: 8 bytes each
    ("text", pa.binary()),  # MinHash of the words' shingles: 64 × uint32, or empty
    ("vector", pa.binary()),  # mean of the frames' unit vectors, float16, or empty
    ("similarity", pa.float64()),  # mean over the clips, or null
    ("concepts", pa.list_(pa.string())),  # entries of the list of concepts that its text names
]

# One decision per video, made over the whole build.
SELECT: list[tuple[str, pa.DataType]] = [
    ("duplicate_of", pa.string()),  # the id that is kept instead, or empty
    ("duplicate_by", pa.string()),  # frames | text | vector
    ("likeness", pa.float64()),  # to that id: 1 - differing bits / 64, estimated Jaccard, or cosine; else null
    ("concept", pa.string()),  # the rarest of its concepts
    ("chance", pa.float64()),  # probability of being kept by balancing; null: no balancing
    ("cluster", pa.int32()),  # null: no clusters
    ("distance", pa.float64()),  # to its cluster's centre; null: no clusters
]

# A document's images are given by (clip, frame): indices into keyframes.clips[clip].frames[frame].
INTERLEAVE: list[tuple[str, pa.DataType]] = [
    (
        "documents",
        pa.list_(
            pa.struct(
                [
                    ("key", pa.string()),
                    ("document", pa.string()),  # canonical JSON: docs/reference/document-format.md
                    (
                        "images",
                        pa.list_(pa.struct([("name", pa.string()), ("clip", pa.int32()), ("frame", pa.int32())])),
                    ),
                    ("clips", pa.int32()),
                    ("text_tokens", pa.int32()),  # words and punctuation marks of all text segments
                ]
            )
        ),
    ),
    # Parts of the video that are in no document, with the reason: a clip, a frame (its index in the clip), or text.
    (
        "left_out",
        pa.list_(
            pa.struct(
                [
                    ("what", pa.string()),  # clip | frame | text
                    ("clip", pa.int32()),
                    ("frame", pa.int32()),
                    ("reason", pa.string()),
                    ("value", pa.float64()),  # the value compared with a threshold; tokens removed by a budget
                ]
            )
        ),
    ),
    # What every clip was judged by, also of dropped videos: the roles of its texts, and their tokens.
    (
        "judged",
        pa.list_(pa.struct([("clip", pa.int32()), ("roles", pa.list_(pa.string())), ("tokens", pa.int32())])),
    ),
]

SHARD: list[tuple[str, pa.DataType]] = [
    ("shards", pa.list_(pa.struct([("shard", pa.string()), ("key", pa.string())]))),
]

SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema(COMMON + columns)
    for name, columns in {
        "collect": COLLECT,
        "download": DOWNLOAD,
        "annotations": ANNOTATIONS,
        "transcribe": TRANSCRIBE,
        "keyframes": KEYFRAMES,
        "align": ALIGN,
        "ocr": OCR,
        "regions": REGIONS,
        "caption": CAPTION,
        "narrate": NARRATE,
        "score": SCORE,
        "sketch": SKETCH,
        "select": SELECT,
        "interleave": INTERLEAVE,
        "shard": SHARD,
    }.items()
}
