using System.Buffers.Binary;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Moves a machine away (PROTOCOL.md). Whatever happens, the guest runs at most at one side: until the order to run has been sent it is
/// here, afterwards it goes on here only if the target has said that it does not run there.
/// </summary>
internal sealed partial class MigrationSource : IDisposable
{
    private const ulong NanosecondsPerMillisecond = 1_000_000;

    private readonly IDepartingGuest _guest;
    private readonly MigrationOptions _options;
    private readonly MigrationLimits _limits;
    private readonly MigrationProgress _progress;
    private readonly MigrationStop _stop;
    private readonly Func<Func<bool>, MigrationLink> _connect;
    private readonly byte[] _session;
    private readonly long _started = Environment.TickCount64;
    private MigrationLink? _link;
    private FrameWriter? _writer;
    private ReplyQueue? _replies;
    private readonly DepartingChannels _channels = new();
    private readonly Lock _orderGate = new();
    private PageCache? _cache;
    private bool _isTracking;
    private bool _isStopped;
    private bool _isOrdered;

    // The target makes its machine around the memory that it was handed, and that may write it.
    private bool _isBuiltAround;

    /// <param name="connect">Connects to the target; told a way to see that it is given up. Called again after a lost connection.</param>
    /// <param name="session">16 random bytes.</param>
    public MigrationSource(
        IDepartingGuest guest,
        MigrationOptions options,
        MigrationLimits limits,
        MigrationProgress progress,
        MigrationStop stop,
        Func<Func<bool>, MigrationLink> connect,
        byte[] session)
    {
        _guest = guest;
        _options = options;
        _limits = limits;
        _progress = progress;
        _stop = stop;
        _connect = connect;
        _session = session;
    }

    /// <summary>Told after each round.</summary>
    public Action OnRound { get; set; } = static () => { };

    /// <summary>The order to run has gone: there is no way back but the target's word.</summary>
    public bool IsOrdered => Volatile.Read(ref _isOrdered);

    /// <summary>
    /// Has it end with the guest at the source; false if the order to run has gone, unless it is only asked what became of that. Whoever is first, this or
    /// the order, decides: a cancellation that is taken is carried out. Any thread.
    /// </summary>
    public bool TryCancel(string reason)
    {
        lock (_orderGate)
        {
            if (_isOrdered && !IsAskingOn)
            {
                return false;
            }

            _stop.Ask(reason);
            return true;
        }
    }

    /// <summary>Does it all; returns when it is over. What came of it is in the progress.</summary>
    public void Run() => Finish(() =>
    {
        _link = Connect();
        ulong features = Greet();
        Offer();
        bool compress = (features & MigrationWire.FeatureLz4) != 0;
        if (_options.OnlyChecks)
        {
            TellTarget("only a check was asked for");
            _progress.End(MigrationPhase.Checked, GuestPlace.Here, null);
            return;
        }

        if ((features & MigrationWire.FeatureDelta) != 0)
        {
            _cache = OpenCache(Math.Min(_options.DeltaCacheBytes, _guest.Offer.MemoryBytes));
        }

        OpenChannels(compress);
        Move(compress);
        _progress.End(MigrationPhase.Completed, GuestPlace.There, null);
    });

    private static PageCache OpenCache(ulong bytes)
    {
        // A host that runs out of memory ends the program that has most of it: the guest's.
        ulong available = AvailableMemory.Read();
        return bytes <= available
            ? new PageCache(bytes)
            : throw new MigrationException($"delta_cache: up to {bytes >> 20} MiB are needed, and this host has {available >> 20} MiB left");
    }

    private void Finish(Action work)
    {
        try
        {
            work();
        }
#pragma warning disable CA1031 // Whatever fails, the guest must not be left behind; the reason is what people are told.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Recover(Reason(e));
        }
        finally
        {
            StopTracking();
            _cache?.Dispose();
            Dispose();
        }
    }

    /// <summary>Ends the connection; <see cref="Run"/> does it too.</summary>
    public void Dispose()
    {
        _replies?.Dispose();
        _channels.Dispose();
        _link?.Dispose();
    }

    private MigrationLink Connect()
    {
        try
        {
            return _connect(() => _stop.IsAsked);
        }
        catch (IOException e)
        {
            throw new MigrationException($"the target cannot be reached: {e.Message}", e);
        }
    }

    /// <summary>Returns the features that both have.</summary>
    private ulong Greet()
    {
        _link!.Patience = (int)_options.Patience.TotalMilliseconds;
        _link.WaitForWords();
        _link.GiveUpWritesWhen(IsGivenUp);
        ulong needed = NeededFeatures();
        ulong offered = needed
            | (_options.Compress && Lz4.IsAvailable ? MigrationWire.FeatureLz4 : 0)
            | (_options.DeltaCacheBytes > 0 && !HasChannels && !_guest.IsPaused && _guest.MemoryDescriptors is null ? MigrationWire.FeatureDelta : 0);
        _writer = new FrameWriter(_link.Stream);
        SayHello(_writer, offered, isQuestion: false);
        _replies = new ReplyQueue(_link);
        MigrationWelcome welcome = Read<MigrationWelcome>(Wait(FrameType.Welcome), MigrationWelcome.Describe);
        if (welcome.Version != MigrationWire.Version || (welcome.Features & ~offered) != 0)
        {
            throw new MigrationException($"the target chose version {welcome.Version} and features 0x{welcome.Features:x}, which were not offered");
        }

        ThrowIfMissing(needed & ~welcome.Features, welcome.Producer);
        string compression = (welcome.Features & MigrationWire.FeatureLz4) == 0 ? "none" : "lz4";
        _progress.Set(i => i with { Peer = welcome.Producer, Compression = compression, Phase = MigrationPhase.Checking });
        return welcome.Features;
    }

    private void SayHello(FrameWriter writer, ulong features, bool isQuestion)
    {
        var hello = new MigrationHello
        {
            Lowest = MigrationWire.Version,
            Highest = MigrationWire.Version,
            Features = features,
            Session = _session,
            IsQuestion = isQuestion,
            Producer = _options.Producer,
        };
        writer.WriteMagic();
        writer.Write(FrameType.Hello, StateWriter.Write(hello, MigrationHello.Describe));
    }

    private void Offer()
    {
        MigrationOffer offer = _guest.Offer with { Connections = HasChannels ? (ulong)_options.Connections : null };
        ulong total = offer.MemoryBytes + offer.DiskBytes;
        _progress.Set(i => i with { MemoryBytes = offer.MemoryBytes, DiskBytes = offer.DiskBytes, RemainingBytes = total });
        _writer!.Write(FrameType.Offer, StateWriter.Write(offer, MigrationOffer.Describe));
        HandMemoryOver();
        Wait(FrameType.Accept);
    }

    private void Move(bool compress)
    {
        _compress = compress;
        if (_guest.MemoryDescriptors is not null)
        {
            // The target has the memory: nothing of it has to be sent, and so nothing is tracked.
            FlushBeforeStop();
            HandOver(null);
            return;
        }

        var contents = new DepartingContents(_guest, _writer!, _channels, compress, _cache);
        if (!_guest.IsPaused)
        {
            _guest.StartTracking();
            _isTracking = true;
            Precopy(contents);
        }

        HandOver(contents);
    }

    /// <param name="contents">What is left is sent first; null if the target has all of it already.</param>
    private void HandOver(DepartingContents? contents)
    {
        ThrowIfStopped();
        _progress.Enter(MigrationPhase.Stopped);

        // Set before: it may be stopped already when stopping fails.
        _isStopped = true;
        _guest.Stop();
        if (_isTracking)
        {
            contents?.Collect();
        }

        if (contents is not null && _switches)
        {
            SendMissing(contents);
        }
        else if (contents is not null)
        {
            SendRound(contents.Send, contents, () => GoesOn(_stop.Reason is null));
        }

        ThrowIfStopped();
        byte[] state = _guest.Save();
        ulong nanoseconds = _guest.StoppedFor();
        _isBuiltAround = _guest.MemoryDescriptors is not null;
        Span<byte> payload = _writer!.Begin(sizeof(ulong) + state.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(payload, nanoseconds);
        state.CopyTo(payload[sizeof(ulong)..]);
        _writer.End(FrameType.State, payload.Length);
        WaitServing(FrameType.Ready, () => _stop.IsAsked);

        // From here on only the target's word brings the guest back. Set before the message goes: part of it may arrive.
        lock (_orderGate)
        {
            ThrowIfStopped();
            Volatile.Write(ref _isOrdered, true);
        }

        _progress.Set(i => i with { Phase = MigrationPhase.HandOver, Guest = GuestPlace.Unknown });
        _writer.Write(FrameType.Run, [_guest.IsPaused ? (byte)0 : (byte)1]);
        WaitServing(FrameType.Running, () => _stop.IsEnding);
        NoteDowntime();
        if (_late is not null)
        {
            Postcopy(lost: null);
        }

        SayGoodbye();
    }

    private void NoteDowntime()
    {
        ulong nanoseconds = _guest.StoppedFor();
        _progress.Set(i => i with
        {
            DowntimeMs = _guest.IsPaused ? null : nanoseconds / NanosecondsPerMillisecond,
            RemainingBytes = _late is null ? 0 : i.RemainingBytes,
            TransferredBytes = (ulong)SentBytes,
        });
    }

    private void SayGoodbye()
    {
        try
        {
            _writer!.Write(FrameType.Bye);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // It runs there and we know it; that the target does not know that we know costs it a minute of listening.
            return;
        }
    }

    private byte[] Wait(FrameType type) => _replies!.Wait(type, _options.Patience, () => _stop.IsAsked);

    private static T Read<T>(byte[] payload, Func<StateVisitor, T?, T> describe)
        where T : class
    {
        try
        {
            return StateReader.Read(payload, describe);
        }
        catch (StateFormatException e)
        {
            throw new MigrationException($"the target's answer is not valid: {e.Message}", e);
        }
    }

    private void ThrowIfStopped()
    {
        _replies!.ThrowIfFailed();
        if (_stop.IsAsked)
        {
            throw new OperationCanceledException();
        }
    }

    private bool GoesOn(bool wanted)
    {
        _replies!.ThrowIfFailed();
        return wanted;
    }

    private void StopTracking()
    {
        if (_isTracking)
        {
            _isTracking = false;
            _guest.StopTracking();
        }
    }
}
