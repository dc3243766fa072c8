using System.Threading.Channels;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>What a process of the fake agent says.</summary>
internal sealed class FakeOutput
{
    private readonly Channel<byte[]> _parts = Channel.CreateUnbounded<byte[]>();

    public void Add(byte[] data) => _parts.Writer.TryWrite(data);

    public void End() => _parts.Writer.TryComplete();

    /// <summary>The next part; empty at the end.</summary>
    public async Task<byte[]> ReadAsync(uint length, CancellationToken cancellation)
    {
        while (await _parts.Reader.WaitToReadAsync(cancellation))
        {
            if (_parts.Reader.TryRead(out byte[]? part))
            {
                Assert.True(part.Length <= length || part.Length == FakeProcess.FloodBytes);
                return part;
            }
        }

        return [];
    }
}
