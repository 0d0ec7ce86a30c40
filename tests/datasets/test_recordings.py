"""Recordings: files in folders and tables, arrays, rates, and what is wrong with them."""

import io
import shutil
import struct
import sys
import warnings
import wave

import numpy as np
import pytest

import nrjax
from nrjax.datasets import Recordings
from nrjax.datasets._resample import resample

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
ALIASES = 1e-4  # of full scale: -80 dB, twenty times below what the filter is designed for
SIXTEEN_BITS = 1 / 32768


def tone(rate: int, hz: float = 440.0, seconds: float = 0.5, size: float = 0.5) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def encoded(values: np.ndarray, rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, values, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.fixture
def clips(tmp_path):
    """Two classes of three recordings: of three formats, rates and lengths."""
    for name, hz in (("high", 880.0), ("low", 220.0)):
        (tmp_path / name).mkdir()
        for i, (suffix, rate) in enumerate((("wav", 8000), ("flac", 16000), ("ogg", 44100))):
            soundfile.write(tmp_path / name / f"{i}.{suffix}", tone(rate, hz, 0.5 + 0.25 * i), rate)
    return tmp_path


def test_a_folder_of_classes(clips):
    data = nrjax.load_dataset(clips)
    assert data.kind == "audio"
    assert data.class_names == ("high", "low")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [recording.rate for recording in data.samples] == [8000, 16000, 44100] * 2
    assert [recording.seconds for recording in data.samples] == [0.5, 0.75, 1.0] * 2
    assert nrjax.load_dataset(clips, max_samples=2).labels.tolist() == [0, 1]


@pytest.mark.parametrize(("kind", "subtype", "error"), [
    ("WAV", "PCM_16", SIXTEEN_BITS), ("WAV", "PCM_24", 2.0**-23), ("WAV", "FLOAT", 0), ("WAV", "DOUBLE", 1e-7),
    ("WAV", "PCM_U8", 1 / 128), ("FLAC", "PCM_16", SIXTEEN_BITS), ("FLAC", "PCM_24", 2.0**-23),
    ("OGG", "VORBIS", 0.05), ("AIFF", "PCM_16", SIXTEEN_BITS),
])  # fmt: skip
def test_formats(tmp_path, kind, subtype, error):
    values = tone(16000)
    (recording,) = _loaded(tmp_path, [encoded(values, 16000, kind, subtype)])
    assert recording.read().dtype == np.float32
    np.testing.assert_allclose(recording.read(), values, atol=error)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([tone(8000, 300), tone(8000, 500)], axis=1)
    (recording,) = _loaded(tmp_path, [encoded(stereo, 8000, subtype="FLOAT")])
    np.testing.assert_allclose(recording.read(), stereo.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_a_tone_is_the_same_at_another_rate(rate):
    (recording,) = Recordings.of([tone(rate, 1000.0)], rate)
    ours = recording.at_rate(16000)
    assert ours.shape == (8000,)
    inner = slice(400, -400)  # at the ends the filter reads silence
    np.testing.assert_allclose(ours[inner], tone(16000, 1000.0)[inner], atol=ALIASES)


def test_what_a_lower_rate_cannot_hold_is_gone():
    assert np.abs(resample(tone(44100, 12_000.0), 44100, 16000)[400:-400]).max() < ALIASES


@pytest.mark.parametrize("suffix", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_stretch_is_what_it_is_within_the_whole(tmp_path, suffix):
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 44100).astype(np.float32)
    (recording,) = _loaded(tmp_path, [encoded(noise, 44100, suffix)])
    whole = recording.at_rate(16000)
    np.testing.assert_allclose(recording.at_rate(16000, 44100, 88200), whole[16000:32000], atol=1e-6)
    np.testing.assert_array_equal(recording.read(1000, 3000), recording.read()[1000:3000])


def test_arrays():
    values = tone(8000)
    recordings = Recordings.of([values, (values * 32767).astype(np.int16), values.astype(np.float64)], 8000)
    assert recordings.kind == "audio"
    for recording in recordings:
        np.testing.assert_allclose(recording.read(), values, atol=2 * SIXTEEN_BITS)
    assert [r.rate for r in Recordings.of([values, values], [8000, 16000])] == [8000, 16000]
    assert [len(r) for r in recordings.take(np.array([2, 0]))] == [4000, 4000]


@pytest.mark.parametrize(("waveform", "rate", "words"), [
    (np.zeros(9), 8000, "recording 0 is silent"),
    (np.zeros(0), 8000, "recording 0 has no samples"),
    (np.array([0.1, np.nan]), 8000, "recording 0 has samples that are not finite"),
    (np.ones((2, 9)), 8000, "one channel; got shape"),
    (np.ones(9, np.uint8), 8000, "int16 or int32; got uint8"),
    (np.ones(9), 0, "the rate must be"),
    (np.ones(9), 8000.5, "the rate must be"),
])  # fmt: skip
def test_arrays_that_are_refused(waveform, rate, words):
    with pytest.raises(ValueError, match=words):
        Recordings.of([waveform], [rate])


def test_the_fingerprint_is_of_the_content(clips):
    content = list(nrjax.load_dataset(clips).samples.content())
    (clips / "low" / "2.ogg").rename(clips / "low" / "9.ogg")
    assert list(nrjax.load_dataset(clips).samples.content()) == content
    soundfile.write(clips / "low" / "0.wav", tone(8000, 221.0), 8000)
    assert list(nrjax.load_dataset(clips).samples.content()) != content


def claims_hours() -> bytes:
    """A WAV file whose header says 4 GB, and that holds a tone."""
    data = bytearray(encoded(tone(8000), 8000))
    data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFF00)
    return bytes(data)


def claims_samples() -> bytes:
    """A FLAC file whose header says 2^36 - 1 samples."""
    data = bytearray(encoded(tone(8000), 8000, "FLAC"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    return bytes(data)


BROKEN = {
    "silent": (encoded(np.zeros(800), 8000), "is silent: all of its samples are 0"),
    "opposite": (encoded(np.stack([tone(8000), -tone(8000)], 1), 8000, subtype="FLOAT"), "silent.*means of 2 channels"),
    "empty": (encoded(np.zeros(0), 8000), "has no samples"),
    "no bytes": (b"", "cannot be read as a recording"),
    "text": (b"not a recording at all", "cannot be read as a recording"),
    "not finite": (encoded(np.array([0.5, np.inf, 0.1]), 8000, subtype="FLOAT"), "samples that are not finite"),
    "cut off": (encoded(tone(16000, seconds=2), 16000, "FLAC")[:9000], "is cut off|cannot be read"),
    "claims samples": (claims_samples(), "is cut off|cannot be read"),
    "another format": (encoded(tone(8000), 8000, "CAF"), "format CAF, which is not read"),
    "too slow": (encoded(tone(8000), 10), "10 samples a second"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named_or_left_out(clips, name):
    content, words = BROKEN[name]
    (clips / "low" / "5.wav").write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        nrjax.load_dataset(clips)
    assert str(caught.value).startswith("low/5.wav")
    assert "--skip-broken" in str(caught.value)
    with pytest.warns(RuntimeWarning, match=r"Left out 1 of 7 recordings: low/5\.wav"):
        data = nrjax.load_dataset(clips, skip_broken=True)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_header_decides_no_memory(tmp_path):
    (recording,) = _loaded(tmp_path, [claims_hours()])
    assert len(recording) == 4000


def test_links_and_pipes(clips, tmp_path_factory):
    import os

    (clips / "low" / "7.wav").symlink_to("nowhere.wav")
    with pytest.raises(ValueError, match=r"low/7\.wav is a link to nothing"):
        nrjax.load_dataset(clips)
    (clips / "low" / "7.wav").unlink()
    os.mkfifo(clips / "low" / "7.wav")
    with pytest.raises(ValueError, match=r"low/7\.wav is not a regular file \(it is a pipe\)"):
        nrjax.load_dataset(clips)
    (clips / "low" / "7.wav").unlink()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(clips / "low" / "0.wav", elsewhere)
    (clips / "low" / "linked").symlink_to(elsewhere)
    with pytest.warns(RuntimeWarning, match="links to folders"):
        assert len(nrjax.load_dataset(clips).samples) == 6


def test_images_and_recordings_do_not_mix(clips):
    from PIL import Image

    Image.new("RGB", (4, 4)).save(clips / "low" / "cover.png")
    with pytest.raises(ValueError, match=r"images \(1\) and recordings \(6\) in its classes") as caught:
        nrjax.load_dataset(clips)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["audio", "path", "file", "filename", "clip"])
def test_a_table_of_paths(clips, column):
    rows = [f"{path.relative_to(clips)},{path.parent.name}" for path in sorted(clips.glob("*/*.*"))]
    (clips / "table.csv").write_text("\n".join([f"{column},label", *rows]))
    data = nrjax.load_dataset(clips / "table.csv", **({"audio": "clip"} if column == "clip" else {}))
    assert (data.kind, len(data.samples), data.class_names) == ("audio", 6, ("high", "low"))


def test_paths_do_not_leave_the_folder_of_a_table(clips, monkeypatch):
    outside = clips / "high" / "0.wav"
    (clips / "low" / "table.csv").write_text(f"audio,label\n0.wav,a\n1.flac,b\n../high/0.wav,a\n{outside},b\n")
    monkeypatch.chdir(clips / "low")
    with pytest.raises(ValueError, match=r"row 3.*\.\./high/0\.wav lies outside the table's folder"):
        nrjax.load_dataset("table.csv")
    with pytest.warns(RuntimeWarning, match="Left out 2 of 4 recordings"):
        assert len(nrjax.load_dataset("table.csv", skip_broken=True).samples) == 2
    pandas = pytest.importorskip("pandas")
    assert len(nrjax.load_dataset(pandas.read_csv("table.csv")).samples) == 4


def test_a_frame_of_bytes_and_waveforms():
    pandas = pytest.importorskip("pandas")
    cells = [encoded(tone(8000), 8000), {"bytes": encoded(tone(8000, 300), 8000), "path": "x.wav"},
             {"array": tone(16000), "sampling_rate": 16000}, {"bytes": None, "path": None}]  # fmt: skip
    frame = pandas.DataFrame({"audio": cells, "label": [0, 1, 0, 1]})
    with pytest.raises(ValueError, match=r"row 4.*has no recording"):
        nrjax.load_dataset(frame)
    data = nrjax.load_dataset(frame[:3])
    assert [recording.rate for recording in data.samples] == [8000, 8000, 16000]


def test_hugging_faces_audio_is_not_decoded_by_it(clips):
    datasets = pytest.importorskip("datasets")
    pyarrow = pytest.importorskip("pyarrow")
    cells = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(clips.glob("*/*.*"))]
    table = pyarrow.table({"sound": cells, "label": [0, 0, 0, 1, 1, 1]})
    features = datasets.Features({"sound": datasets.Audio(), "label": datasets.ClassLabel(names=["high", "low"])})
    data = nrjax.load_dataset(datasets.Dataset(table).cast(features))
    assert (data.kind, data.class_names) == ("audio", ("high", "low"))
    assert [recording.seconds for recording in data.samples] == [0.5, 0.75, 1.0] * 2


def test_texts_go_before_recordings_that_are_not_asked_for(clips):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["a", "b"], "audio": [str(clips / "low" / "0.wav")] * 2, "label": [0, 1]})
    assert nrjax.load_dataset(frame).kind == "text"
    assert nrjax.load_dataset(frame, audio="audio").kind == "audio"
    with pytest.raises(ValueError, match="leave text and image out"):
        nrjax.load_dataset(frame, audio="audio", text="text")


def test_nothing_is_decoded_before_it_is_read(clips):
    data = nrjax.load_dataset(clips)
    shutil.rmtree(clips / "high")
    assert len(data.samples[3].read()) == 4000
    with pytest.raises(ValueError, match=r"high/0\.wav is not there"):
        data.samples[0].read()


def test_a_file_that_changed_since(clips):
    data = nrjax.load_dataset(clips)
    soundfile.write(clips / "high" / "0.wav", tone(8000, seconds=0.25), 8000)
    with pytest.raises(ValueError, match="other content than when it was checked"):
        data.samples[0].read()


def test_without_soundfile_one_sentence(clips, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ValueError, match=r"needs soundfile, which is not installed: pip install 'nrjax\[audio\]'"):
        nrjax.load_dataset(clips)


def test_pythons_own_wav_files(tmp_path):
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes((tone(8000) * 32767).astype("<i2").tobytes())
    (recording,) = _loaded(tmp_path, [file.getvalue()])
    np.testing.assert_allclose(recording.read(), tone(8000), atol=2 * SIXTEEN_BITS)


def _loaded(folder, contents):
    """Recordings of files of these contents."""
    (folder / "class").mkdir()
    for i, content in enumerate(contents):
        (folder / "class" / f"{i}.wav").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return nrjax.load_dataset(folder).samples


class Spoken:
    """As torchaudio's: a tensor [channels, time], its rate, a label, and more."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def waves(count=12):
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, (2, 900 + 10 * i)).astype(np.float32) for i in range(count)]


@pytest.mark.parametrize("form", ["torchaudio", "pair", "one channel"])
def test_data_sets_of_pytorch(form):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    words = [("yes", "no")[i % 2] for i in range(12)]
    items = {
        "torchaudio": [(torch.tensor(w), 8000, word, "speaker", 0) for w, word in zip(waves(), words, strict=True)],
        "pair": [((w, np.int64(8000)), word) for w, word in zip(waves(), words, strict=True)],
        "one channel": [((w.mean(axis=0), 8000), word) for w, word in zip(waves(), words, strict=True)],
    }[form]
    data = nrjax.load_dataset(Spoken(items))
    assert (data.kind, data.class_names) == ("audio", ("no", "yes"))
    np.testing.assert_array_equal(data.labels, np.arange(12) % 2 == 0)
    for recording, values in zip(data.samples, waves(), strict=True):
        assert recording.rate == 8000
        np.testing.assert_allclose(recording.read(), values.mean(axis=0), atol=1e-7)


def test_silent_items_are_named():
    items = [((values, 8000), i % 2) for i, values in enumerate(waves(6))]
    items[3] = ((np.zeros(100, np.float32), 8000), 1)
    with pytest.raises(ValueError, match=r"item 3.*is silent"):
        nrjax.load_dataset(Spoken(items))
    with pytest.warns(RuntimeWarning, match="Left out 1 of 6 recordings"):
        assert len(nrjax.load_dataset(Spoken(items), skip_broken=True).samples) == 5
