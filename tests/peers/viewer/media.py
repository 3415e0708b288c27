"""Files of every kind that a page shows, made here so that none of them has to be kept."""

import io
import json
import math
import zipfile

import av
import numpy
from PIL import Image, ImageDraw

SECONDS = 2
RATE = 48_000


def sunset(seed, size=(1280, 853)):
    """A sky of some evening, with the grain of a film."""
    random = numpy.random.default_rng(seed)
    width, height = size
    y = numpy.linspace(0, 1, height)[:, None, None]
    x = numpy.linspace(-1, 1, width)[None, :, None]
    night = random.integers(10, 70, 3)
    dusk = numpy.array([random.integers(200, 255), random.integers(90, 190), random.integers(60, 180)])
    sky = night + (dusk - night) * y ** random.uniform(1, 2)
    place, high = random.uniform(-0.6, 0.6), random.uniform(0.5, 0.75)
    sun = 110 * numpy.exp(-(((x - place) * 1.4) ** 2 + (y - high) ** 2) / random.uniform(0.008, 0.03))
    waves = random.uniform(3, 9, 2)
    hills = y > 0.82 - 0.06 * numpy.sin(waves[0] * x + seed) - 0.03 * numpy.cos(waves[1] * x)
    image = numpy.where(hills, night * 0.5, sky + sun)
    image = image + random.integers(-9, 10, (height, width, 1))
    return Image.fromarray(numpy.clip(image, 0, 255).astype(numpy.uint8))


def chart(seed, size=(1200, 800)):
    """The bars of some quarter."""
    random = numpy.random.default_rng(seed)
    image = Image.new("RGB", size, "#fbfbf8")
    draw = ImageDraw.Draw(image)
    for line in range(6):
        draw.line([(80, 100 + line * 110), (1140, 100 + line * 110)], fill="#dddddd", width=2)
    for bar in range(9):
        top = int(650 - random.uniform(60, 530))
        left = 110 + bar * 115
        draw.rectangle([left, top, left + 70, 650], fill=("#2457c5", "#e08a3c")[bar % 3 == seed % 3])
    draw.line([(80, 650), (1140, 650)], fill="#333333", width=4)
    return image


def invoice(seed, size=(900, 1200)):
    """A page that somebody has scanned."""
    random = numpy.random.default_rng(seed)
    image = Image.new("RGB", size, "#f4f1ea")
    draw = ImageDraw.Draw(image)
    draw.rectangle([70, 80, 330, 150], fill="#303540")
    for line in range(26):
        y = 240 + line * 34
        length = int(random.uniform(200, 560))
        draw.rectangle([70, y, 70 + length, y + 11], fill="#8d8a84")
        if line % 3 == 0:
            draw.rectangle([740, y, 830, y + 11], fill="#55524d")
    return image


def picture(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tone(frequency=440):
    time = numpy.arange(SECONDS * RATE) / RATE
    wave = numpy.sin(2 * math.pi * frequency * time) * numpy.minimum(1, 4 * (SECONDS - time)) * 0.2
    return (wave * 32767).astype(numpy.int16)[None, :]


def sound(container, codec, **options):
    """Two seconds of a tone."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE, layout="mono", **options)
        frame = av.AudioFrame.from_ndarray(tone(), format="s16", layout="mono")
        frame.rate = RATE
        frame.pts = 0
        samples = av.AudioFifo()
        samples.write(frame)
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=RATE, frame_size=1024 if codec == "aac" else 960
        )
        while part := samples.read(960, partial=True):
            for ready in resampler.resample(part):
                output.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            output.mux(stream.encode(ready))
        output.mux(stream.encode(None))
    return file.getvalue()


def film(container, codec, pixels="yuv420p", **options):
    """Two seconds of a sun that goes down."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=12, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 212, pixels
        scene = numpy.asarray(sunset(5, (320, 424)))
        for number in range(12 * SECONDS):
            part = numpy.ascontiguousarray(scene[number * 6 : number * 6 + 212])
            frame = av.VideoFrame.from_ndarray(part, format="rgb24").reformat(format=pixels)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def score():
    """A scale up and down again, for programs that have instruments."""
    heights = [*range(57, 82), *range(81, 56, -1)]
    played = [bytes([0, 0x90, height, 100, 0x60, 0x80, height, 0]) for height in heights]
    notes = bytes([0, 0xC0, 0]) + b"".join(played) + bytes([0, 0xFF, 0x2F, 0])
    head = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1, 1, 0xE0])
    return head + b"MTrk" + len(notes).to_bytes(4, "big") + notes


def pdf():
    words = b"BT /F1 24 Tf 72 720 Td (A contract, as somebody attached it.) Tj ET"
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(words), words),
    ]
    body, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    start = len(body)
    body += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % at for at in places)
    return body + b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("orders.csv", "order,total\nA-77,120.50\n" * 40)
    return file.getvalue()


def svg():
    bars = "".join(
        f'<rect x="{20 + 40 * at}" y="{190 - high}" width="28" height="{high}" fill="#2457c5"/>'
        for at, high in enumerate([40, 90, 65, 140, 110, 170])
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="280" height="200">{bars}</svg>'.encode()


MARKDOWN = """# Findings of the research agent

The three sources agree on **two** of the points:

1. Demand rose by 12 % in the third quarter.
2. Nobody knows why; see [the report](https://example.com/report).

| quarter | orders |
|---|---:|
| Q2 | 1,204 |
| Q3 | 1,349 |

```python
print("orders", 1349)
```
""".encode()

JSON = json.dumps(
    {
        "tool": "search_orders",
        "arguments": {"customer": "C-1042", "since": "2026-09-01", "limit": 50},
        "result": [
            {"order": "A-77", "total": 120.5, "items": ["kettle", "filter"], "paid": True},
            {"order": "A-81", "total": 19.0, "items": ["filter"], "paid": None},
        ],
        "note": "Two lines of it:\nthis is the second.",
    }
).encode()

TEXT = ("2026-11-21 19:00:01 INFO  tool call finished in 412 ms\n" * 12).encode()


def files():
    """Each kind: what it is called, what it is declared to be, its bytes, how a page shows it, and its size."""
    sky = sunset(1)
    small = sunset(2, (640, 426))
    size = [640, 426]
    return [
        ("sky.png", "image/png", picture(sky, "PNG"), "img", [1280, 853]),
        ("sky.jpg", "image/jpeg", picture(small, "JPEG", quality=88), "img", size),
        ("sky.gif", "image/gif", picture(small.quantize(64), "GIF"), "img", size),
        ("sky.webp", "image/webp", picture(small, "WEBP"), "img", size),
        ("sky.avif", "image/avif", picture(small, "AVIF", speed=9), "img", size),
        ("chart.svg", "image/svg+xml", svg(), "img", [280, 200]),
        ("tone.wav", "audio/wav", sound("wav", "pcm_s16le"), "audio", None),
        ("tone.mp3", "audio/mpeg", sound("mp3", "libmp3lame"), "audio", None),
        ("tone.ogg", "audio/ogg", sound("ogg", "libopus"), "audio", None),
        ("tone.flac", "audio/flac", sound("flac", "flac"), "audio", None),
        ("tone.m4a", "audio/mp4", sound("ipod", "aac"), "audio", None),
        ("film.mp4", "video/mp4", film("mp4", "libx264"), "video", [320, 212]),
        ("film.webm", "video/webm", film("webm", "libvpx-vp9", deadline="realtime"), "video", [320, 212]),
        # What browsers do not play all, and what is only given as a download.
        ("tone.aiff", "audio/aiff", sound("aiff", "pcm_s16be"), "note", "no preview of AIFF"),
        ("tune.mid", "audio/midi", score(), "note", "no preview of MID"),
        ("film.mov", "video/quicktime", film("mov", "libx264"), "note", "no preview of MOV"),
        ("film.mkv", "video/matroska", film("matroska", "libx264"), "note", "no preview of MKV"),
        ("contract.pdf", "application/pdf", pdf(), "note", "PDFs are not shown here"),
        ("log.txt", "text/plain", TEXT, "pre.text", "tool call finished"),
        ("findings.md", "text/markdown", MARKDOWN, ".markdown table", "1,349"),
        ("call.json", "application/json", JSON, ".json details", "search_orders"),
        ("data.zip", "application/zip", archive(), "note", "no preview of ZIP"),
    ]
