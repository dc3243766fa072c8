using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm.Migration;

// The guest goes on here while pages are missing. Two threads from the state on: one takes what comes, the other asks for what is needed.
internal sealed partial class MigrationTarget
{
    private const int LateStackBytes = 256 << 10;
    private const int LookMilliseconds = 500;
    private const int EndMilliseconds = 2000;

    // Waited on, so a plain object: order, end and the next connection.
    private readonly object _lateGate = new();

    // Messages go from several threads.
    private readonly Lock _writeGate = new();
    private GuestMemory? _memory;
    private LatePages? _late;
    private Thread? _taking;
    private Thread? _asking;
    private byte[]? _order;
    private Exception? _lateFailure;
    private bool _isComplete;
    private bool _isEnding;
    private bool _hasStarted;
    private bool _isDiscarded;
    private (MigrationLink Link, FrameReader Reader, FrameWriter Writer)? _nextLink;

    /// <summary>Told the names of events.</summary>
    public Action<string> OnPostcopy { get; set; } = static _ => { };

    /// <summary>The guest runs here, or is being started, and its memory is not all here.</summary>
    public bool IsIncomplete
    {
        get
        {
            lock (_linkGate)
            {
                lock (_lateGate)
                {
                    return _late is not null && _isStarting && !_isComplete && !_isDiscarded;
                }
            }
        }
    }

    /// <summary>So it does, and the connection to the source is lost.</summary>
    public bool IsLost => IsIncomplete && _progress.Phase == MigrationPhase.PostcopyLost;

    private bool IsPostcopyAgreed => (_features & MigrationWire.FeaturePostcopy) != 0;

    private void TakeMissing(in Frame frame)
    {
        _late ??= new LatePages(_memory!, _guest);
        MissingFrame.Read(frame, _memory!, _late.Missing.Add);
    }

    /// <summary>Before devices and vCPUs are made, which may look at the memory already.</summary>
    private void BeginLate()
    {
        if (_late is null)
        {
            return;
        }

        _late.Begin();
        _pages!.Late = _late;
        _taking = new Thread(TakePages, LateStackBytes) { Name = "migration-pages", IsBackground = true };
        _asking = new Thread(AskForPages, LateStackBytes) { Name = "migration-asks", IsBackground = true };
        _taking.Start();
        _asking.Start();
    }

    private byte[] WaitForOrderWhilePagesCome()
    {
        lock (_writeGate)
        {
            _writer!.Write(FrameType.Ready);
        }

        lock (_lateGate)
        {
            while (_order is null)
            {
                if (_lateFailure is { } failure)
                {
                    throw new MigrationException(failure.Message, failure);
                }

                Monitor.Wait(_lateGate);
            }

            return _order;
        }
    }

    /// <summary>The guest runs: says so, and waits until all of its memory is here; false if that was given up.</summary>
    private bool WaitForPages()
    {
        _progress.Set(i => i with { Phase = i.Phase == MigrationPhase.PostcopyLost ? i.Phase : MigrationPhase.Postcopy, Guest = GuestPlace.Here });
        OnPostcopy("migration-postcopy-started");
        lock (_writeGate)
        {
            try
            {
                _writer!.Write(FrameType.Running);
            }
            catch (IOException)
            {
                // Whoever reads notices that the connection is lost, and the source asks.
                _link!.Abort();
            }
        }

        lock (_lateGate)
        {
            // Behind the word that it runs: who has all of the memory must not say so of a guest whose start may still fail.
            _hasStarted = true;
            Monitor.PulseAll(_lateGate);
            while (!_isComplete && !_isEnding)
            {
                Monitor.Wait(_lateGate);
            }
        }

        EndLate();
        return _isComplete;
    }

    /// <summary>
    /// The process ends while memory is missing. Whoever waits for a page waits on until it has ended: with zeros in its place the guest
    /// and its devices would do harm.
    /// </summary>
    public void Abandon()
    {
        // Closed by a finalizer, it would wake them.
        _ = GCHandle.Alloc(_late);
        lock (_lateGate)
        {
            _isEnding = true;
            Monitor.PulseAll(_lateGate);
        }
    }

    /// <summary>
    /// Ends both threads; before the memory goes, when all of it is here, or with the process. The connection lives on for the last words, unless
    /// one of the threads cannot get away from it.
    /// </summary>
    private void EndLate()
    {
        if (_late is null)
        {
            return;
        }

        lock (_lateGate)
        {
            _isEnding = true;
            Monitor.PulseAll(_lateGate);
        }

        _link!.EndReading();
        _late.Wake();
        if (!HasEnded(_taking) || !HasEnded(_asking))
        {
            _link.Abort();
            _taking!.Join();
            _asking!.Join();
        }

        _link.EndReading(false);
        static bool HasEnded(Thread? thread) => thread?.Join(EndMilliseconds) ?? true;
    }

    /// <summary>On a thread of its own: takes pages, over as many connections as it takes.</summary>
    private void TakePages()
    {
        NativeThread.ShowName();
        while (true)
        {
            string lost;
            try
            {
                while (!TakeLate(_reader!.Read()))
                {
                    if (Volatile.Read(ref _isEnding))
                    {
                        throw new MigrationException("it was given up");
                    }
                }

                Finish();
                return;
            }
#pragma warning disable CA1031 // The guest runs here and waits for pages: whatever taking them fails with, they come again over another connection.
            catch (Exception e)
#pragma warning restore CA1031
            {
                lost = e.Message;
                lock (_lateGate)
                {
                    if (_order is null)
                    {
                        // The guest has not been given away: it stays at the source.
                        _late!.GiveUp(lost);
                        _lateFailure = e;
                        Monitor.PulseAll(_lateGate);
                        return;
                    }

                    if (_isEnding)
                    {
                        // The connection is still of use to say why.
                        return;
                    }
                }
            }

            if (_late!.Missing.Count == 0)
            {
                // Nothing is missing any more but the source's last words.
                Finish();
                return;
            }

            if (!WaitForLink(lost))
            {
                return;
            }
        }
    }

    /// <summary>True: that was the last one.</summary>
    private bool TakeLate(in Frame frame)
    {
        switch (frame.Type)
        {
            case FrameType.Pages or FrameType.Zeros:
                _pages!.Take(frame);
                Note();
                return false;
            case FrameType.Run when _order is null:
                lock (_lateGate)
                {
                    _order = frame.Payload.ToArray();
                    Monitor.PulseAll(_lateGate);
                }

                return false;
            case FrameType.LastPage when _order is not null && _late!.Missing.Count == 0:
                return true;
            case FrameType.LastPage:
                throw new MigrationException($"the source says that nothing is left, and {_late!.Missing.Count} pages are missing");
            default:
                throw OutOfPlace(frame);
        }
    }

    private void Finish()
    {
        _late!.End();
        lock (_lateGate)
        {
            while (!_hasStarted && !_isEnding)
            {
                Monitor.Wait(_lateGate);
            }

            if (!_hasStarted)
            {
                return;
            }
        }

        try
        {
            lock (_writeGate)
            {
                _writer!.Write(FrameType.Complete);
            }
        }
        catch (IOException e)
        {
            // It asks again, and is told.
            LogSourceGone(_logger, e.Message);
        }

        MigrationLink? tooLate;
        lock (_lateGate)
        {
            _isComplete = true;
            tooLate = _nextLink?.Link;
            _nextLink = null;
            Monitor.PulseAll(_lateGate);
        }

        tooLate?.Dispose();
    }

    /// <summary>On a thread of its own: asks for pages that somebody waits for.</summary>
    private void AskForPages()
    {
        NativeThread.ShowName();
        while (!Volatile.Read(ref _isEnding))
        {
            try
            {
                if (!_late!.Wait(LookMilliseconds))
                {
                    continue;
                }

                while (_late.TryTake(out ulong gpa))
                {
                    _progress.Set(i => i with { PostcopyFaults = i.PostcopyFaults + 1 });
                    AskFor(gpa);
                }
            }
            catch (LinuxException e)
            {
                // The host is short of something. Who waits is asked about again, or gets the page when its turn comes.
                LogNotTaken(_logger, e.Message);
                lock (_lateGate)
                {
                    _ = _isEnding || Monitor.Wait(_lateGate, LookMilliseconds);
                }
            }
        }
    }

    /// <summary>Any thread; tests ask for what is no page.</summary>
    internal void AskFor(ulong gpa)
    {
        Span<byte> payload = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, gpa);
        try
        {
            lock (_writeGate)
            {
                _writer!.Write(FrameType.Want, payload);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // It is asked for again over the next connection.
            LogNotAsked(_logger, e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "post-copy: the host does not say who waits for a page: {Reason}")]
    private static partial void LogNotTaken(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "post-copy: a page could not be asked for: {Reason}")]
    private static partial void LogNotAsked(ILogger logger, string reason);
}
