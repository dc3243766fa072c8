using System.Text;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>One of several connections that pages leave through, beside the first one.</summary>
internal sealed class DepartingChannel : IDisposable
{
    private readonly MigrationLink _link;
    private readonly FrameWriter _writer;

    /// <param name="link">Owned.</param>
    /// <param name="session">Says that this connection belongs to the first one.</param>
    /// <exception cref="MigrationException">The target does not want it.</exception>
    /// <exception cref="IOException">The connection failed.</exception>
    public DepartingChannel(MigrationLink link, byte[] session, GuestMemory memory, bool compress)
    {
        _link = link;
        _writer = new FrameWriter(link.Stream);
        Sender = new PageSender(_writer, memory, compress);
        _writer.WriteMagic();
        _writer.Write(FrameType.Join, session);
        var reader = new FrameReader(link.Stream);
        reader.ReadMagic();
        Frame answer = reader.Read(MigrationWire.FirstBytes);
        if (answer.Type != FrameType.Joined)
        {
            string why = answer.Type == FrameType.Failed ? Encoding.UTF8.GetString(answer.Payload) : $"it answers with {answer.Type}";
            throw new MigrationException($"the target does not take another connection: {why}");
        }
    }

    public PageSender Sender { get; }

    /// <summary>Sent so far.</summary>
    public long Bytes => _writer.Bytes;

    /// <summary>All pages of the round have been sent.</summary>
    public void EndRound(ReadOnlySpan<byte> number) => _writer.Write(FrameType.Round, number);

    public void Dispose() => _link.Dispose();
}
