using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A connection to a target that says what a test wants it to.</summary>
internal sealed class RawSource : IDisposable
{
    private readonly SocketStream _socket;
    private readonly FrameReader _reader;

    public RawSource(Move move)
    {
        _socket = SocketStream.Connect(Move.Endpoint(move.TargetPath), 10_000, static () => false);
        _reader = new FrameReader(_socket);
        Writer = new FrameWriter(_socket);
        Writer.WriteMagic();
    }

    public FrameWriter Writer { get; }

    public static byte[] Number(uint number)
    {
        byte[] bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, number);
        return bytes;
    }

    /// <summary>One page with the same byte all over.</summary>
    public static byte[] Page(ulong gpa, byte value)
    {
        byte[] payload = new byte[sizeof(uint) + MigrationWire.RunBytes + MigrationWire.PageBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, 1);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(4), gpa);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(12), 1);
        payload.AsSpan(16).Fill(value);
        return payload;
    }

    public static byte[] Zeros(ulong gpa, ulong pages)
    {
        byte[] payload = new byte[MigrationWire.ZeroRunBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, gpa);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(8), pages);
        return payload;
    }

    public void Greet(ulong features)
    {
        var hello = new MigrationHello
        {
            Lowest = MigrationWire.Version, Highest = MigrationWire.Version, Features = features, Session = Move.Session, IsQuestion = false, Producer = "raw",
        };
        Writer.Write(FrameType.Hello, StateWriter.Write(hello, MigrationHello.Describe));
        _reader.ReadMagic();
        Frame welcome = _reader.Read();
        Assert.Equal(FrameType.Welcome, welcome.Type);
        Assert.Equal(features, StateReader.Read<MigrationWelcome>(welcome.Payload.ToArray(), MigrationWelcome.Describe).Features);
    }

    public void Offer(MigrationOffer offer) => Writer.Write(FrameType.Offer, StateWriter.Write(offer, MigrationOffer.Describe));

    /// <summary>Makes this a further connection of another one.</summary>
    public void Join(byte[] session) => Writer.Write(FrameType.Join, session);

    public void Attach(params int[] descriptors) => _socket.AttachDescriptors(descriptors);

    /// <summary>The target's next message, and its text if it has one.</summary>
    public (FrameType Type, string Text) Read(bool isFirst = false)
    {
        if (isFirst)
        {
            _reader.ReadMagic();
        }

        Frame frame = _reader.Read();
        return (frame.Type, frame.Type == FrameType.Failed ? Encoding.UTF8.GetString(frame.Payload) : "");
    }

    /// <summary>The target's first message, which is one byte.</summary>
    public (FrameType Type, byte Value) ReadByte()
    {
        _reader.ReadMagic();
        Frame frame = _reader.Read();
        return (frame.Type, Assert.Single(frame.Payload.ToArray()));
    }

    /// <summary>Bytes that need not be a message.</summary>
    public void Send(ReadOnlySpan<byte> bytes) => _socket.Write(bytes);

    /// <summary>Nothing comes for a while.</summary>
    public void AssertSilence()
    {
        Thread.Sleep(200);
        Assert.False(_socket.HasInput, "the target says something");
    }

    public void Dispose() => _socket.Dispose();
}
