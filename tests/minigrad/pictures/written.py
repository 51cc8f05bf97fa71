"""What is written into a page, read again."""

import base64
import json
import re
import zlib

import numpy as np


def data_of(text: str) -> dict:
    packed = re.search(r'<script type="application/octet-stream" id="data">(.*?)</script>', text, re.DOTALL)[1]
    return json.loads(zlib.decompress(base64.b64decode(packed), -zlib.MAX_WBITS))


def boxes_of(text: str) -> set[str]:
    """The ids of the boxes in the picture of a page: in columns they are apart from the shapes."""
    data = data_of(text)
    ends = {group["id"] for group in data["groups"]}
    return set(re.findall(r'data-box="([^"]+)"', text)) | {id for ids in data.get("columns", ()) for id in ids} - ends


def array(said: dict, shape=-1) -> np.ndarray:
    values = said["values"]
    flat = np.frombuffer(base64.b64decode(values), "<f4").astype(float) if isinstance(values, str) else np.array(values, float)
    flat = np.pad(flat, said.get("zeros", 0))
    return flat.reshape(shape)


def sent(data: dict, step: dict, part: dict) -> np.ndarray:
    """The gradient that a rule sent: nothing is written where it is all of its operand's, 0 where it is the node's own."""
    (all_of_it,) = [other["g"] for other in data["back"] if other["node"] == part["to"]]
    said = part.get("sent", all_of_it)
    return array(step["g"] if said == 0 else said, data["nodes"][part["to"]]["shape"])
