using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;

namespace Cnvm.Vmm.Migration;

// What comes another way than through the one connection: memory that is handed over, and pages on further connections.
internal sealed partial class MigrationTarget
{
    /// <summary>How often a wait for further connections looks whether it has been given up.</summary>
    private const int AdmissionMilliseconds = 100;

    private long _listensSince;

    /// <summary>The payload of a message that is a number.</summary>
    /// <exception cref="MigrationException">It is none.</exception>
    internal static uint NumberOf(in Frame frame)
    {
        Span<byte> number = stackalloc byte[sizeof(uint)];
        if (frame.Payload.Length != number.Length)
        {
            throw new MigrationException($"message {frame.Type} has {frame.Payload.Length} bytes");
        }

        frame.Payload.CopyTo(number);
        return BinaryPrimitives.ReadUInt32LittleEndian(number);
    }

    /// <summary>Features that this side has on a connection.</summary>
    private static ulong FeaturesOn(MigrationLink link) =>
        MigrationWire.FeatureDisks
        | MigrationWire.FeatureConnections
        | MigrationWire.FeaturePostcopy
        | MigrationWire.FeatureDelta
        | (link.CarriesDescriptors ? MigrationWire.FeatureLocal : 0)
        | (Lz4.IsAvailable ? MigrationWire.FeatureLz4 : 0);

    /// <summary>The memory itself, if it is handed over; null if its contents are to come.</summary>
    private HandedOver? TakeMemoryOver(MigrationOffer offer)
    {
        bool isLocal = (_features & MigrationWire.FeatureLocal) != 0;
        bool hasChannels = (_features & MigrationWire.FeatureConnections) != 0;
        if (offer.Connections is not null != hasChannels || (isLocal && (hasChannels || offer.Disks is not null)))
        {
            throw new MigrationException("the offer does not say of the connections what was agreed on");
        }

        if (!isLocal)
        {
            return null;
        }

        Span<byte> counts = stackalloc byte[2 * sizeof(uint)];
        Frame frame = Next(FrameType.Memory);
        _link!.EndDescriptors();
        if (frame.Payload.Length != counts.Length)
        {
            throw new MigrationException($"message Memory has {frame.Payload.Length} bytes");
        }

        frame.Payload.CopyTo(counts);
        uint memory = BinaryPrimitives.ReadUInt32LittleEndian(counts);
        uint queues = BinaryPrimitives.ReadUInt32LittleEndian(counts[sizeof(uint)..]);
        return (ulong)memory + queues == (ulong)_descriptors.Count
            ? new HandedOver(new HandedMemory(_descriptors[..(int)memory]), _descriptors[(int)memory..])
            : throw new MigrationException($"{_descriptors.Count} descriptors came with a message of {(ulong)memory + queues}");
    }

    /// <summary>The rest of a guest whose memory is here already. It is the source's until the guest runs here, and nobody writes it.</summary>
    private void ReceiveAround()
    {
        _writer!.Write(FrameType.Accept);
        Frame frame = Next(FrameType.State);
        _progress.Set(i => i with { TransferredBytes = (ulong)_reader!.Bytes, RemainingBytes = 0 });
        Restore(frame);
        if (_stop.IsAsked)
        {
            // Nothing here hears an order to run any more, so the source must not be asked for it.
            throw new OperationCanceledException();
        }
    }

    /// <summary>Lets the source's further connections in, and nobody else.</summary>
    /// <exception cref="MigrationException">They do not come.</exception>
    private void AdmitChannels(MigrationOffer offer, PageReceiver pages)
    {
        int wanted = (int)(offer.Connections ?? 1) - 1;
        long end = Environment.TickCount64 + (long)_options.Patience.TotalMilliseconds;
        using var incoming = new IncomingConnections(_listener, socket => Hear(socket, TakeJoin), reason => LogRefused(_logger, reason));
        while (_channels.Count < wanted)
        {
            ThrowIfGivenUp(wanted, end);
            if (incoming.Next(AdmissionMilliseconds) is { } joined && LetIn(joined, pages))
            {
                end = Environment.TickCount64 + (long)_options.Patience.TotalMilliseconds;
            }
        }

        ListenToAll();
    }

    /// <param name="end">When the next connection must have come.</param>
    private void ThrowIfGivenUp(int wanted, long end)
    {
        if (_stop.IsAsked)
        {
            throw new OperationCanceledException();
        }

        if (Environment.TickCount64 > end)
        {
            throw new MigrationException($"{_channels.Count + 1} of the source's {wanted + 1} connections have come");
        }

        if (_link!.HasInput)
        {
            // A source that has all its connections says something only then; before, only that it gives up.
            throw OutOfPlace(_reader!.Read());
        }
    }

    private bool LetIn(HeardLink joined, PageReceiver pages)
    {
        try
        {
            joined.Writer.WriteMagic();
            joined.Writer.Write(FrameType.Joined);

            // How long all of them together may stay silent is for the one who waits for a round's end to say.
            joined.Link.Patience = Timeout.Infinite;
            _channels.Add(new ArrivingChannel(joined.Link, joined.Reader, new PageReceiver(pages)));
            return true;
        }
        catch (IOException e)
        {
            LogRefused(_logger, e.Message);
            joined.Link.Dispose();
            return false;
        }
    }

    /// <summary>A further connection of the source's; null for anybody else.</summary>
    private HeardLink? TakeJoin(HeardLink heard, Frame first)
    {
        if (first.Type == FrameType.Join && IsSession(first.Payload))
        {
            return heard;
        }

        RefuseGuest(heard.Writer);
        LogRefused(_logger, $"message {first.Type} of another session while a guest's further connections are waited for");
        return null;
    }

    /// <summary>With a bandwidth limit it may take long until one connection's turn comes: what counts is whether any of them brings something.</summary>
    private void ListenToAll()
    {
        if (_channels.Count > 0)
        {
            _link!.WaitForWords();
            _link.GiveUpReadsWhen(IsGivenUpOrSilent);
        }
    }

    /// <summary>The further connections have ended.</summary>
    private void ListenToFirst()
    {
        _link!.GiveUpReadsWhen(null);
        _link.Patience = (int)_options.Patience.TotalMilliseconds;
    }

    /// <exception cref="MigrationException">None of the connections has brought anything for too long.</exception>
    private bool IsGivenUpOrSilent()
    {
        // Not before somebody listened: the target may have been busy itself.
        long heard = Math.Max(_listensSince, _link!.HeardAt);
        foreach (ArrivingChannel channel in _channels)
        {
            heard = Math.Max(heard, channel.HeardAt);
        }

        return Environment.TickCount64 - heard > (long)_options.Patience.TotalMilliseconds
            ? throw new MigrationException($"none of the connections has brought anything for {_options.Patience.TotalSeconds:0} s")
            : _stop.IsAsked;
    }

    /// <summary>Takes the same time wherever the difference is: the session is what strangers do not know.</summary>
    private bool IsSession(ReadOnlySequence<byte> payload) => CryptographicOperations.FixedTimeEquals(payload.ToArray(), _session);

    /// <summary>Afterwards nothing writes the memory any more but the machine.</summary>
    private void EndChannels()
    {
        _channels.ForEach(c => c.Dispose());
        _channels.Clear();
    }

    /// <summary>Closes what came and is of no use.</summary>
    private void DropDescriptors()
    {
        _link?.EndDescriptors();
        _descriptors.ForEach(d => d.Dispose());
        _descriptors.Clear();
    }
}
