using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Waits for a machine and takes it over (PROTOCOL.md). The guest runs here only after the order to, and never once it has been said that
/// it does not. Whatever comes over the connection may be malformed or hostile: it ends in a refusal, and nothing is left behind.
/// </summary>
internal sealed partial class MigrationTarget : IDisposable
{
    private readonly IArrivingGuest _guest;
    private readonly MigrationOptions _options;
    private readonly MigrationProgress _progress;
    private readonly MigrationStop _stop;
    private readonly HandOverDecisions _decisions;
    private readonly StreamListener _listener;
    private readonly Func<SocketStream, MigrationLink> _wrap;
    private readonly ILogger _logger;
    private readonly Lock _linkGate = new();
    private MigrationLink? _link;
    private FrameWriter? _writer;
    private FrameReader? _reader;
    private PageReceiver? _pages;
    private DiskReceiver? _disks;
    private readonly List<FileDescriptor> _descriptors = [];
    private readonly List<ArrivingChannel> _channels = [];
    private ulong _features;
    private byte[] _session = [];
    private Thread? _answers;
    private bool _isStarting;
    private volatile bool _isKnown;

    /// <param name="listener">Owned.</param>
    /// <param name="wrap">Makes a link of a connection (TLS).</param>
    public MigrationTarget(
        IArrivingGuest guest,
        MigrationOptions options,
        MigrationProgress progress,
        MigrationStop stop,
        HandOverDecisions decisions,
        StreamListener listener,
        Func<SocketStream, MigrationLink> wrap,
        ILogger logger)
    {
        _guest = guest;
        _options = options;
        _progress = progress;
        _stop = stop;
        _decisions = decisions;
        _listener = listener;
        _wrap = wrap;
        _logger = logger;
    }

    /// <summary>Told when a source has been let in.</summary>
    public Action OnStarted { get; set; } = static () => { };

    /// <summary>
    /// Does it all; returns when the guest runs here or never will. What came of it is in the progress. Questions of a source that lost
    /// its connection are answered for a while longer, until this object is disposed.
    /// </summary>
    public void Run()
    {
        try
        {
            if (!WaitForSource())
            {
                throw new OperationCanceledException();
            }

            OnStarted();
            Receive();
            bool resume = WaitForOrder();
            Start(resume);
            if (_late is not null && !WaitForPages())
            {
                _progress.End(MigrationPhase.PostcopyLost, GuestPlace.Here, "the VMM ends, and with it the guest: its memory has not come");
                return;
            }

            _progress.End(MigrationPhase.Completed, GuestPlace.Here, null);
        }
#pragma warning disable CA1031 // Whatever a peer sends ends in a refusal, and this process answers and lives on.
        catch (Exception e)
#pragma warning restore CA1031
        {
            EndLate();
            string reason = _stop.Reason ?? (e is OperationCanceledException ? "it was given up" : e is IOException ? $"the connection to the source failed: {e.Message}" : e.Message);
            EndChannels();

            // Devices that have started wait for pages that will not come; taking the machine apart waits for the devices.
            _late?.Missing.GiveUp(reason);
            _guest.Discard();
            lock (_lateGate)
            {
                _isDiscarded = true;
            }

            DropDescriptors();
            if (!_isStarting || (_features & MigrationWire.FeatureLocal) == 0)
            {
                _decisions.Close(_session, isRunning: false);
            }

            _progress.End(_stop.IsAsked ? MigrationPhase.Cancelled : MigrationPhase.Failed, GuestPlace.There, reason);
            Refuse(reason);
        }
    }

    /// <summary>After a success: waits for the source to know it too.</summary>
    public void SayGoodbye()
    {
        try
        {
            if (_late is null)
            {
                _writer!.Write(FrameType.Running);
            }

            // However it spreads its bytes: nothing else is done with this VM until it is over.
            _link!.Patience = (int)_options.GreetingPatience.TotalMilliseconds;
            _link.EndReadingAfter(_options.GreetingPatience);
            if (_reader!.Read(MigrationWire.FirstBytes).Type == FrameType.Bye)
            {
                // Nobody will ask.
                _isKnown = true;
                _listener.GiveUp();
            }
        }
#pragma warning disable CA1031 // The guest runs here: whatever listening to its source fails with, this process lives on.
        catch (Exception e)
#pragma warning restore CA1031
        {
            LogSourceGone(_logger, e.Message);
        }

        _link!.Dispose();
    }

    /// <summary>Ends it from another thread; false if the order to run has come already.</summary>
    public bool TryCancel(string reason)
    {
        lock (_linkGate)
        {
            if (_isStarting)
            {
                return false;
            }

            _stop.Ask(reason);
            if (_link is null)
            {
                _listener.GiveUp();
            }

            // The listener stays: a source whose order is on its way has to hear that it came too late.
            if ((_features & MigrationWire.FeatureLocal) != 0)
            {
                // The machine may just be made, and write the guest's memory: a closed connection would say that nothing does any more.
                _link?.CloseReading();
            }
            else
            {
                _link?.Abort();
            }

            return true;
        }
    }

    /// <summary>A source may still have to ask how it ended.</summary>
    public bool MayBeAsked => _answers is not null && !_isKnown;

    /// <summary>Ends answering. Not while <see cref="Run"/> runs.</summary>
    public void Dispose()
    {
        EndChannels();
        _listener.GiveUp();
        _answers?.Join();
        _link?.Dispose();
        _nextLink?.Link.Dispose();
        _listener.Dispose();
        if (_late is { } late && (_isComplete || _order is null || _isDiscarded))
        {
            late.Dispose();
        }
    }

    private void Receive()
    {
        Frame frame = Next(FrameType.Offer);
        MigrationOffer offer = StateReader.Read<MigrationOffer>(frame.Payload.ToArray(), MigrationOffer.Describe);
        if (offer.Disks is not null != ((_features & MigrationWire.FeatureDisks) != 0))
        {
            throw new MigrationException("the offer does not say of the disks what was agreed on");
        }

        ulong total = offer.MemoryBytes + offer.DiskBytes;
        _progress.Set(i => i with { MemoryBytes = offer.MemoryBytes, DiskBytes = offer.DiskBytes, RemainingBytes = total });
        (GuestMemory memory, Func<int, bool> isFresh) = _guest.Prepare(offer, TakeMemoryOver(offer));
        if ((_features & MigrationWire.FeatureLocal) != 0)
        {
            ReceiveAround();
            return;
        }

        if (IsPostcopyAgreed && LatePages.Obstacle(memory) is { } obstacle)
        {
            throw new MigrationException(obstacle);
        }

        _memory = memory;
        _pages = new PageReceiver(memory, isFresh);
        _disks = new DiskReceiver(_guest.Disks);
        _writer!.Write(FrameType.Accept);
        AdmitChannels(offer, _pages);
        _progress.Enter(MigrationPhase.Precopy);
        uint round = 0;
        while (true)
        {
            _listensSince = Environment.TickCount64;
            frame = _reader!.Read();
            Note();
            switch (frame.Type)
            {
                case FrameType.Pages or FrameType.Zeros:
                    _pages.Take(frame);
                    break;
                case FrameType.Deltas when (_features & MigrationWire.FeatureDelta) != 0:
                    _pages.TakeDeltas(frame);
                    break;
                case FrameType.DiskData or FrameType.DiskZeros:
                    _disks.Take(frame);
                    break;
                case FrameType.Round:
                    EndRound(frame, ++round);
                    break;
                case FrameType.Missing when IsPostcopyAgreed:
                    TakeMissing(frame);
                    break;
                case FrameType.State when (_late is null ? _pages.Missing == 0 : _pages.HasAllBut(_late.Missing)) && _disks.Missing == 0 && round > 0:
                    EndChannels();
                    ListenToFirst();
                    Restore(frame);
                    return;
                case FrameType.State:
                    throw new MigrationException($"the state comes while {_pages.Missing} pages of memory and {_disks.Missing} bytes of disks are missing");
                default:
                    throw OutOfPlace(frame);
            }
        }
    }

    private void EndRound(in Frame frame, uint round)
    {
        if (NumberOf(frame) is var came && came != round)
        {
            throw new MigrationException($"round {came} ends where round {round} should");
        }

        _listensSince = Environment.TickCount64;
        foreach (ArrivingChannel channel in _channels)
        {
            channel.WaitForRound(round, IsGivenUpOrSilent);
        }

        _guest.AwaitMemory(() => _stop.IsAsked);
        Span<byte> number = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(number, round);
        _disks!.Flush();
        _progress.Set(i => i with { Rounds = round });
        _writer!.Write(FrameType.RoundDone, number);
    }

    private void Restore(in Frame frame)
    {
        if (frame.Payload.Length < sizeof(ulong))
        {
            throw new MigrationException("message State is too short");
        }

        byte[] payload = frame.Payload.ToArray();
        _progress.Enter(MigrationPhase.Stopped);
        BeginLate();
        ulong stopped = BinaryPrimitives.ReadUInt64LittleEndian(payload);

        // A guest that was paused keeps its time. For others the message's own way here counts too, and what has been done since.
        _guest.Restore(payload[sizeof(ulong)..], stopped == 0 ? 0 : stopped + (ulong)Stopwatch.GetElapsedTime(_reader!.BeganAt).TotalNanoseconds);
    }

    /// <summary>Says that the guest is complete, and waits; returns whether it is to run.</summary>
    private bool WaitForOrder()
    {
        _decisions.Open(_session);

        // From here on a source may have to ask on a second connection.
        _answers = new Thread(AnswerQuestions, AnswerStackBytes) { Name = "migration-answer", IsBackground = true };
        _answers.Start();
        byte[] order;
        if (_late is null)
        {
            _writer!.Write(FrameType.Ready);
            order = Next(FrameType.Run).Payload.ToArray();
        }
        else
        {
            order = WaitForOrderWhilePagesCome();
        }

        return order is [0 or 1] ? order[0] == 1 : throw new MigrationException($"message Run has {order.Length} bytes");
    }

    private void Start(bool resume)
    {
        lock (_linkGate)
        {
            _isStarting = !_stop.IsAsked && _decisions.TryStart(_session);
        }

        if (!_isStarting)
        {
            throw new MigrationException("the order to run came too late");
        }

        _guest.Run(resume);
        _decisions.Close(_session, isRunning: true);
    }

    private Frame Next(FrameType wanted)
    {
        Frame frame = _reader!.Read();
        return frame.Type == wanted ? frame : throw OutOfPlace(frame);
    }

    private static MigrationException OutOfPlace(in Frame frame) => frame.Type switch
    {
        FrameType.Cancel => new MigrationException($"the source gives up: {Encoding.UTF8.GetString(frame.Payload)}"),
        _ => new MigrationException($"message {frame.Type} is out of place here"),
    };

    private void Note() => _progress.Set(i => i with
    {
        TransferredBytes = (ulong)(_reader!.Bytes + _channels.Sum(c => c.Bytes)),
        RemainingBytes = _late is { } late ? (ulong)late.Missing.Count * MigrationWire.PageBytes : ((ulong)_pages!.Missing * MigrationWire.PageBytes) + _disks!.Missing,
    });

    private void Refuse(string reason)
    {
        if (_writer is null)
        {
            return;
        }

        try
        {
            _writer.WriteReason(FrameType.Failed, reason);
            _link!.CloseGently();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            LogSourceGone(_logger, e.Message);
        }

        _link!.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "the source of the migration is gone: {Reason}")]
    private static partial void LogSourceGone(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "a connection to the migration port was refused: {Reason}")]
    private static partial void LogRefused(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "the migration port lets nobody in now: {Reason}")]
    private static partial void LogAcceptFailed(ILogger logger, string reason);
}
