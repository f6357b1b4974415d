"""Names of the files that a backbone, a probe and their reports consist of.

A backbone directory (what is pushed) holds a SavedModel, BACKBONE_KERAS, BACKBONE_RECORD, PRETRAINED_ON and perhaps START_KERAS;
a probe directory a SavedModel, PROBE_ARRAYS and PROBE_RECORD. Reports are JSON, written beside them by what measured.
"""

BACKBONE_KERAS = "backbone.keras"  # the network alone, of stock Keras layers: loads without this project
BACKBONE_RECORD = "backbone.json"  # what the backbone is: architecture, seed, embedding, photograph side
# Where pre-training started from a network of others: that network as it was, from a view to features. The gate's baseline.
START_KERAS = "start.keras"
# The first 64 bits of the content hashes (contracts.examples) of the photographs that it was pre-trained on, sorted: a NumPy array of
# uint64. Missing where not all are known.
PRETRAINED_ON = "pretrained_on.npy"
# Classes, the identity of the backbone inside (backbone_uri, backbone_content_hash), and `calibration`, as in linear_eval.json.
PROBE_RECORD = "probe.json"
# The linear layer alone, a NumPy archive without pickles: `mean` and `scale` [features], `weights` [features, classes], `bias`
# [classes], all float32. Logits are (embedding - mean) / scale @ weights + bias.
PROBE_ARRAYS = "probe.npz"
# Directory in LinearEval's model_run: the same probe on the baseline; its record says as `baseline` which (contracts.baseline).
UNTRAINED_PROBE = "untrained_probe"
# Beside the directory of a StartingBackbone: which registered backbone is in it, a pipeline_config.WarmStart; empty fields for none.
WARM_START = "warm_start.json"
PRETRAIN_REPORT = "pretrain.json"  # in Pretrain's model_run
LINEAR_EVAL_REPORT = "linear_eval.json"  # in LinearEval's model_run
# In LinearEval's model_run: of the registered versions whose backbones got the same probe, by `champion` and `best`, `version`,
# `content_hash` of the backbone, `probe` (its directory below model_run; "" where the backbone is the candidate's own, whose probe it
# shares) and `pretrained_on` (how many eval photographs it was pre-trained on; null: not known).
REFERENCES = "references.json"
INGEST_REPORT = "ingest_report.json"  # in ExampleGen's ingest_report
VERDICT = "verdict.json"  # in the Evaluator's evaluation
PUSH_RECORD = "push.json"  # in the Pusher's pushed_model
RUN_PAGE = "report.html"  # in the Report's report

# What the run's page shows besides figures: NumPy archives without pickles. A position counts the records of a split from 0,
# file by file in the order of their names.
#
# In Pretrain's model_run, of the first photographs of train: `photographs` [count, side, side, 3] uint8 (scaled to squares),
# `aspects` [count] float32 (width / height), `views` [views, count, resolution, resolution, 3] uint8, of at most four views.
VIEWS = "views.npz"
# In LinearEval's model_run. Of every eval photograph, by position: `label` and `predicted` [eval] int32, `confidence` [eval]
# float32 (the calibrated probability of the predicted class). Of the first of them: `embedding` [sample, features] float16, l2-normalised.
# Of a few queries: `query` [queries] int32, positions in eval; `neighbour` [queries, nearest] int32, positions in train, most
# similar first; `similarity` [queries, nearest] float32, cosine.
PREDICTIONS = "predictions.npz"

# Signatures. Every model answers `serving_default`; see the export modules for shapes and value ranges.
EMBEDDING = "embedding"  # output of a backbone: [batch, embedding_size] float32
PROBABILITIES = "probabilities"  # output of a probe: [batch, classes] float32
SIGNATURE_ENCODED = "encoded_images"  # one input, IMAGE_BYTES; also what a backbone's `serving_default` takes
SIGNATURE_PIXELS = "pixels"  # [batch, photograph_side, photograph_side, 3] float32 in [0, 1]
# [batch] string: JPEG, PNG, WebP, GIF or BMP files. TensorFlow Serving decodes base64 for string inputs of any name; Google's prediction
# services ask for names that end in `_bytes`.
IMAGE_BYTES = "image_bytes"
