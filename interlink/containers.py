"""The containers that media are opened as. Both programs open media with these options, and no others.

Playlists (HLS, DASH, concat) are missing on purpose: they name other files and hosts, which FFmpeg would then open.
"""

from __future__ import annotations

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,asf,ogg,rm,mxf,nut,nsv,dv,gif,ivf,"
    "h264,hevc,m4v,av1,obu,vc1,wtv,swf,mp3,wav,flac,aac,ac3,eac3,aiff,amr,caf,w64"
)
# For av.open: a local file (`file:` before its path) or bytes.
LOCAL_ONLY = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
