using System.Buffers.Binary;
using System.Diagnostics;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

// Rounds of pages while the guest runs.
internal sealed partial class MigrationSource
{
    /// <summary>A round of fewer bytes says little about the bandwidth.</summary>
    private const ulong MeasurableBytes = 2 << 20;

    /// <summary>A guest that dirties more than this share of what the connection carries is held back, if that is wanted.</summary>
    private const double ConvergingShare = 0.5;

    private const int FirstThrottle = 20;
    private const int ThrottleStep = 15;
    private const int MostThrottle = 99;

    /// <summary>A bandwidth limit holds over stretches of this length; longer ones would save up for bursts.</summary>
    private const double PaceSeconds = 10;

    /// <summary>What stopping, the state and starting there take besides what is left of the memory, in milliseconds; of a short downtime, half.</summary>
    private const ulong HandOverMs = 20;

    private long _paceStart;
    private long _paceBytes;

    private long SentBytes => _writer!.Bytes + _channels.Bytes;

    private bool IsLate => (ulong)(Environment.TickCount64 - _started) >= Math.Min(_limits.TimeoutS, int.MaxValue) * 1000;

    /// <summary>Until what is left goes through in the time that the guest may stand still.</summary>
    private void Precopy(DepartingContents contents)
    {
        _progress.Enter(MigrationPhase.Precopy);
        double bandwidth = 0;
        bool areDisksFlushed = false;
        int throttle = 0;

        // Memory may come late, disks may not: they are all that is still sent then, until they are no reason to stand still.
        bool areOnlyDisksSent = false;
        while (true)
        {
            ulong before = contents.SentBytes;
            long start = Stopwatch.GetTimestamp();
            bool isWhole = areOnlyDisksSent
                ? SendRound(goesOn => contents.SendDisks(goesOn), contents, () => GoesOn(!_stop.IsAsked))
                : SendRound(contents.Send, contents, () => GoesOn(!_stop.IsAsked && !IsLate));
            ThrowIfStopped();
            double seconds = Math.Max(Stopwatch.GetElapsedTime(start).TotalSeconds, 1e-6);
            ulong sent = contents.SentBytes - before;
            if (sent >= MeasurableBytes || bandwidth == 0)
            {
                // At least a page, so that an empty guest has a bandwidth too.
                bandwidth = Math.Max(sent, MigrationWire.PageBytes) / seconds;
            }

            contents.Collect();
            ulong left = contents.LeftBytes;
            ulong expected = contents.ExpectedBytes;
            ulong downtime = (ulong)Math.Ceiling(expected / bandwidth * 1000);
            _progress.Set(i => i with
            {
                RemainingBytes = left,
                BandwidthBytesPerS = (ulong)bandwidth,
                DirtyBytesPerS = isWhole && !areOnlyDisksSent ? (ulong)(left / seconds) : i.DirtyBytesPerS,
                ExpectedDowntimeMs = downtime,
            });
            OnRound();
            if (isWhole && (left == 0 || downtime <= _limits.DowntimeMs - Math.Min(HandOverMs, _limits.DowntimeMs / 2)))
            {
                if (areDisksFlushed)
                {
                    return;
                }

                // Takes as long as it takes, so while the guest still runs; what it wrote meanwhile goes in one more round.
                _guest.FlushDisks();
                areDisksFlushed = true;
                continue;
            }

            if (MaySwitch(isWhole, contents.LeftDiskBytes / bandwidth * 1000))
            {
                _guest.FlushDisks();
                _switches = true;
                return;
            }

            // The time that it may take can be changed meanwhile.
            areOnlyDisksSent = IsLate && _options.Postcopy != PostcopyUse.Never;
            if (areOnlyDisksSent)
            {
                continue;
            }

            if (isWhole && _options.AutoConverge && expected / seconds > bandwidth * ConvergingShare)
            {
                throttle = throttle == 0 ? FirstThrottle : Math.Min(throttle + ThrottleStep, MostThrottle);
                _guest.Throttle(throttle);
                _progress.Set(i => i with { ThrottlePercent = (uint)throttle });
            }

            if (IsLate)
            {
                if (_options.FinishAfterTimeout)
                {
                    return;
                }

                throw new MigrationException(
                    $"it took longer than {_limits.TimeoutS} s: {left >> 20} MiB are left, which go in {downtime} ms, and {_limits.DowntimeMs} ms are allowed");
            }
        }
    }

    /// <summary>Sends what is marked and waits until the target has it; false if not all went.</summary>
    private bool SendRound(Action<Func<bool>> send, DepartingContents contents, Func<bool> goesOn)
    {
        bool isWhole = true;
        Pace();
        send(() =>
        {
            Pace();
            Note(contents);
            return isWhole = goesOn();
        });
        Pace();
        Note(contents);
        uint round = _progress.Info().Rounds + 1;
        _progress.Set(i => i with { Rounds = round });
        Span<byte> number = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(number, round);
        _channels.EndRound(number);
        _writer!.Write(FrameType.Round, number);
        if (BinaryPrimitives.ReadUInt32LittleEndian(Wait(FrameType.RoundDone).AsSpan()) != round)
        {
            throw new MigrationException($"the target has another round than {round}");
        }

        return isWhole;
    }

    private void Note(DepartingContents contents) => _progress.Set(i => i with
    {
        DataPages = contents.DataPages,
        ZeroPages = contents.ZeroPages,
        DeltaPages = contents.DeltaPages,
        DeltaSavedBytes = contents.DeltaSavedBytes,
        DiskDataBytes = contents.DiskDataBytes,
        DiskZeroBytes = contents.DiskZeroBytes,
        TransferredBytes = (ulong)SentBytes,
    });

    /// <summary>How long nothing may be sent.</summary>
    private TimeSpan TimeToPace()
    {
        ulong limit = _limits.BandwidthBytesPerS;
        double due = limit == 0 ? 0 : (SentBytes - _paceBytes) / (double)limit;
        return TimeSpan.FromSeconds(Math.Clamp(due - Stopwatch.GetElapsedTime(_paceStart).TotalSeconds, 0, PaceSeconds));
    }

    /// <summary>Waits until no more has been sent than the limit allows.</summary>
    /// <param name="isPatient">False: only keeps the books.</param>
    private void Pace(bool isPatient = true)
    {
        ulong limit = _limits.BandwidthBytesPerS;
        double elapsed = Stopwatch.GetElapsedTime(_paceStart).TotalSeconds;
        if (limit == 0 || _paceStart == 0 || elapsed > PaceSeconds)
        {
            _paceStart = Stopwatch.GetTimestamp();
            _paceBytes = SentBytes;
            return;
        }

        if (isPatient && TimeToPace() is var time && time > TimeSpan.Zero)
        {
            _stop.Wait(time);
        }
    }
}
