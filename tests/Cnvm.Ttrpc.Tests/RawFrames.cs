using Cnvm.Ttrpc.Wire;

namespace Cnvm.Ttrpc.Tests;

/// <summary>Frames put together and taken apart by hand.</summary>
internal static class RawFrames
{
    public static byte[] Frame(uint streamId, byte type, byte flags, byte[] data)
    {
        byte[] frame = new byte[FrameHeader.Bytes + data.Length];
        new FrameHeader((uint)data.Length, streamId, (FrameType)type, flags).Write(frame);
        data.CopyTo(frame, FrameHeader.Bytes);
        return frame;
    }

    public static byte[] Request(uint streamId, string service, string method, byte[] payload, long timeoutNano = 0)
    {
        var writer = new ProtoWriter();
        writer.WriteString(1, service);
        writer.WriteString(2, method);
        writer.WriteBytes(3, payload);
        writer.WriteInt64(4, timeoutNano);
        // Metadata, as containerd sends it.
        writer.WriteMessage(5, new Leaf { Name = "containerd-namespace-ttrpc" });
        return Frame(streamId, 1, 0, writer.ToArray());
    }

    public static async Task<(FrameHeader Header, byte[] Data)> ReadAsync(Stream stream)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        byte[] header = new byte[FrameHeader.Bytes];
        await stream.ReadExactlyAsync(header, patience.Token);
        FrameHeader read = FrameHeader.Read(header);
        byte[] data = new byte[read.Length];
        await stream.ReadExactlyAsync(data, patience.Token);
        return (read, data);
    }

    /// <summary>The code and the message of the response that comes next, and its stream.</summary>
    public static async Task<(uint StreamId, TtrpcCode Code, string Message)> StatusAsync(Stream stream)
    {
        (FrameHeader header, byte[] data) = await ReadAsync(stream);
        Assert.Equal(FrameType.Response, header.Type);
        RpcStatus? status = ResponseEnvelope.Read(data).Status;
        return (header.StreamId, (TtrpcCode)(status?.Code ?? 0), status?.Message ?? "");
    }
}
