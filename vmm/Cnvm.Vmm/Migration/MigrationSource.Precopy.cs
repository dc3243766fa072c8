using System.Buffers.Binary;
using System.Diagnostics;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

// Rounds of pages while the guest runs.
internal sealed partial class MigrationSource
{
    /// <summary>A round of fewer pages says little about the bandwidth.</summary>
    private const long MeasurablePages = 512;

    /// <summary>A guest that dirties more than this share of what the connection carries is held back, if that is wanted.</summary>
    private const double ConvergingShare = 0.5;

    private const int FirstThrottle = 20;
    private const int ThrottleStep = 15;
    private const int MostThrottle = 99;

    /// <summary>A bandwidth limit holds over stretches of this length; longer ones would save up for bursts.</summary>
    private const double PaceSeconds = 10;

    private long _paceStart;
    private long _paceBytes;

    private bool IsLate => (ulong)(Environment.TickCount64 - _started) >= Math.Min(_limits.TimeoutS, int.MaxValue) * 1000;

    /// <summary>Until what is left goes through in the time that the guest may stand still.</summary>
    private void Precopy(PageSender sender, DirtyBitmap pages)
    {
        _progress.Enter(MigrationPhase.Precopy);
        double bandwidth = 0;
        bool areDisksFlushed = false;
        int throttle = 0;
        while (true)
        {
            long before = sender.DataPages;
            long start = Stopwatch.GetTimestamp();
            bool isWhole = SendRound(sender, pages, () => GoesOn(!_stop.IsAsked && !IsLate));
            ThrowIfStopped();
            double seconds = Math.Max(Stopwatch.GetElapsedTime(start).TotalSeconds, 1e-6);
            long sent = sender.DataPages - before;
            if (sent >= MeasurablePages || bandwidth == 0)
            {
                // At least a page, so that an empty guest has a bandwidth too.
                bandwidth = Math.Max(sent, 1) * MigrationWire.PageBytes / seconds;
            }

            _guest.Collect(pages);
            ulong left = (ulong)pages.CountPages() * MigrationWire.PageBytes;
            ulong downtime = (ulong)Math.Ceiling(left / bandwidth * 1000);
            double dirtied = left / seconds;
            _progress.Set(i => i with
            {
                RemainingBytes = left,
                BandwidthBytesPerS = (ulong)bandwidth,
                DirtyBytesPerS = isWhole ? (ulong)dirtied : i.DirtyBytesPerS,
                ExpectedDowntimeMs = downtime,
            });
            OnRound();
            if (isWhole && (left == 0 || downtime <= _limits.DowntimeMs))
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

            if (isWhole && _options.AutoConverge && dirtied > bandwidth * ConvergingShare)
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

    /// <summary>Sends pages and waits until the target has them; false if not all went.</summary>
    private bool SendRound(PageSender sender, DirtyBitmap pages, Func<bool> goesOn)
    {
        bool isWhole = true;
        Pace();
        sender.Send(pages, () =>
        {
            Pace();
            Note(sender);
            return isWhole = goesOn();
        });
        Pace();
        Note(sender);
        uint round = _progress.Info().Rounds + 1;
        _progress.Set(i => i with { Rounds = round });
        Span<byte> number = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(number, round);
        _writer!.Write(FrameType.Round, number);
        if (BinaryPrimitives.ReadUInt32LittleEndian(Wait(FrameType.RoundDone).AsSpan()) != round)
        {
            throw new MigrationException($"the target has another round than {round}");
        }

        return isWhole;
    }

    private void Note(PageSender sender) => _progress.Set(i => i with
    {
        DataPages = (ulong)sender.DataPages,
        ZeroPages = (ulong)sender.ZeroPages,
        TransferredBytes = (ulong)_writer!.Bytes,
    });

    /// <summary>Waits until no more has been sent than the limit allows.</summary>
    private void Pace()
    {
        ulong limit = _limits.BandwidthBytesPerS;
        double elapsed = Stopwatch.GetElapsedTime(_paceStart).TotalSeconds;
        if (limit == 0 || _paceStart == 0 || elapsed > PaceSeconds)
        {
            _paceStart = Stopwatch.GetTimestamp();
            _paceBytes = _writer!.Bytes;
            return;
        }

        double due = (_writer!.Bytes - _paceBytes) / (double)limit;
        if (due > elapsed)
        {
            _stop.Wait(TimeSpan.FromSeconds(Math.Min(due - elapsed, PaceSeconds)));
        }
    }
}
