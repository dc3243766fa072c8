using System.Buffers.Binary;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;

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
    private bool _isTracking;
    private bool _isStopped;
    private bool _isOrdered;

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

    /// <summary>Does it all; returns when it is over. What came of it is in the progress.</summary>
    public void Run()
    {
        try
        {
            _link = Connect();
            ulong features = Greet();
            Offer();
            Move((features & MigrationWire.FeatureLz4) != 0);
            _progress.End(MigrationPhase.Completed, GuestPlace.There, null);
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
            Dispose();
        }
    }

    /// <summary>Ends the connection; <see cref="Run"/> does it too.</summary>
    public void Dispose()
    {
        _replies?.Dispose();
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
        _link.GiveUpWritesWhen(() => _stop.IsAsked);
        ulong offered = _options.Compress && Lz4.IsAvailable ? MigrationWire.FeatureLz4 : 0;
        _writer = new FrameWriter(_link.Stream);
        SayHello(_writer, offered, isQuestion: false);
        _replies = new ReplyQueue(_link);
        MigrationWelcome welcome = Read<MigrationWelcome>(Wait(FrameType.Welcome), MigrationWelcome.Describe);
        if (welcome.Version != MigrationWire.Version || (welcome.Features & ~offered) != 0)
        {
            throw new MigrationException($"the target chose version {welcome.Version} and features 0x{welcome.Features:x}, which were not offered");
        }

        _progress.Set(i => i with { Peer = welcome.Producer, Compression = welcome.Features == 0 ? "none" : "lz4", Phase = MigrationPhase.Checking });
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
        MigrationOffer offer = _guest.Offer;
        _progress.Set(i => i with { MemoryBytes = offer.MemoryBytes, RemainingBytes = offer.MemoryBytes });
        _writer!.Write(FrameType.Offer, StateWriter.Write(offer, MigrationOffer.Describe));
        Wait(FrameType.Accept);
    }

    private void Move(bool compress)
    {
        var sender = new PageSender(_writer!, _guest.Memory, compress);
        var pages = new DirtyBitmap(_guest.Memory.Regions);
        foreach (RamRegion region in _guest.Memory.Regions)
        {
            pages.Mark(region.Gpa, region.Size);
        }

        if (!_guest.IsPaused)
        {
            _guest.StartTracking();
            _isTracking = true;
            Precopy(sender, pages);
        }

        HandOver(sender, pages);
    }

    private void HandOver(PageSender sender, DirtyBitmap pages)
    {
        ThrowIfStopped();
        _progress.Enter(MigrationPhase.Stopped);
        _guest.Stop();
        _isStopped = true;
        if (_isTracking)
        {
            _guest.Collect(pages);
        }

        SendRound(sender, pages, () => GoesOn(_stop.Reason is null));
        ThrowIfStopped();
        byte[] state = _guest.Save();
        ulong nanoseconds = _guest.StoppedFor();
        Span<byte> payload = _writer!.Begin(sizeof(ulong) + state.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(payload, nanoseconds);
        state.CopyTo(payload[sizeof(ulong)..]);
        _writer.End(FrameType.State, payload.Length);
        Wait(FrameType.Ready);
        ThrowIfStopped();

        // From here on only the target's word brings the guest back. Set before the message goes: part of it may arrive.
        Volatile.Write(ref _isOrdered, true);
        _progress.Set(i => i with { Phase = MigrationPhase.HandOver, Guest = GuestPlace.Unknown });
        _writer.Write(FrameType.Run, [_guest.IsPaused ? (byte)0 : (byte)1]);
        _replies!.Wait(FrameType.Running, _options.Patience, static () => false);
        NoteDowntime();
        SayGoodbye();
    }

    private void NoteDowntime()
    {
        ulong nanoseconds = _guest.StoppedFor();
        _progress.Set(i => i with { DowntimeMs = _guest.IsPaused ? null : nanoseconds / NanosecondsPerMillisecond, RemainingBytes = 0 });
    }

    private void SayGoodbye()
    {
        try
        {
            _writer!.Write(FrameType.Bye);
        }
        catch (IOException)
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
