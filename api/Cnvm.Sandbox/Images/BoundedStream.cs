using System.Globalization;

namespace Cnvm.Sandbox.Images;

/// <summary>A stretch of another stream, for reading; or all of it, as long as it is not longer than it may be.</summary>
/// <param name="inner">Owned.</param>
/// <param name="length">Bytes.</param>
/// <param name="refusal">What to say when there is more; null when the rest does not matter.</param>
internal sealed class BoundedStream(Stream inner, long length, string? refusal) : ReadingStream
{
    private readonly long _length = length;
    private long _read;

    public override int Read(Span<byte> buffer)
    {
        if (_read == _length)
        {
            if (refusal is not null && !buffer.IsEmpty)
            {
                Span<byte> one = stackalloc byte[1];
                if (inner.Read(one) > 0)
                {
                    throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"{refusal} has more than {_length} bytes"));
                }
            }

            return 0;
        }

        int count = inner.Read(buffer[..(int)Math.Min(buffer.Length, _length - _read)]);
        _read += count;
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
        }

        base.Dispose(disposing);
    }
}
