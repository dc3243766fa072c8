using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <summary>
/// Finds out when a passt(1) that has just started is at work, its ports bound: it answers for every IPv4 address but the guest's own (RFC 826), and so
/// it is asked for one that nobody has (RFC 5737).
/// </summary>
internal static class PasstGreeting
{
    /// <summary>One that has no IPv4 does not answer; it is taken to be at work when it has not ended after this.</summary>
    private const int PatienceMilliseconds = 3000;
    private const int LengthBytes = sizeof(uint);
    private const int EtherType = 12;
    private const int ArpOperation = 20;
    private const ushort Arp = 0x0806;
    private const ushort ArpReply = 2;

    /// <summary>Who has 192.0.2.1? Asked by nobody (a probe, RFC 5227), from a local address that the guest's own frames replace.</summary>
    private static ReadOnlySpan<byte> Question =>
    [
        0, 0, 0, 42,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x08, 0x06,
        0, 1, 0x08, 0, 6, 4, 0, 1,
        0x02, 0, 0, 0, 0, 1, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
    ];

    /// <summary>Waits for the answer, and takes it and what comes before it off the stream, whole frames only.</summary>
    /// <param name="processFd">Readable once the program has ended.</param>
    /// <returns>False when it has ended.</returns>
    /// <exception cref="LinuxException">The host refuses.</exception>
    public static bool TryHear(UnixStream stream, int processFd)
    {
        if (stream.Send(Question) != Question.Length)
        {
            return false;
        }

        byte[] frame = new byte[NetSpec.MaxFrameBytes];
        while (TryFill(stream, processFd, frame.AsSpan(0, LengthBytes), out bool isLate))
        {
            if (isLate)
            {
                return true;
            }

            uint length = BinaryPrimitives.ReadUInt32BigEndian(frame);
            // A frame comes whole, or the stream cannot be used.
            if (length is 0 or > NetSpec.MaxFrameBytes || !TryFill(stream, processFd, frame.AsSpan(0, (int)length), out isLate) || isLate)
            {
                return false;
            }

            if (IsAnswer(frame.AsSpan(0, (int)length)))
            {
                return true;
            }
        }

        return false;
    }

    /// <param name="isLate">Nothing came for long.</param>
    /// <returns>False when the program has ended.</returns>
    private static bool TryFill(UnixStream stream, int processFd, Span<byte> bytes, out bool isLate)
    {
        Span<PollEntry> entries = [new PollEntry { Fd = stream.Fd, Events = PollEntry.In }, new PollEntry { Fd = processFd, Events = PollEntry.In }];
        isLate = false;
        while (!bytes.IsEmpty)
        {
            isLate = Poll.Wait(entries, PatienceMilliseconds) == 0;
            if (isLate)
            {
                return true;
            }

            int got = stream.Receive(bytes, []);
            if (got == 0 || (got < 0 && (entries[1].Returned & PollEntry.In) != 0))
            {
                return false;
            }

            bytes = bytes[Math.Max(got, 0)..];
        }

        return true;
    }

    private static bool IsAnswer(ReadOnlySpan<byte> frame) =>
        frame.Length > ArpOperation + 1
        && BinaryPrimitives.ReadUInt16BigEndian(frame[EtherType..]) == Arp
        && BinaryPrimitives.ReadUInt16BigEndian(frame[ArpOperation..]) == ArpReply;
}
