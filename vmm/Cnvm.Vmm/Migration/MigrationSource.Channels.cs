using System.Buffers.Binary;

namespace Cnvm.Vmm.Migration;

// What goes another way than through the one connection: memory that is handed over, and pages on further connections.
internal sealed partial class MigrationSource
{
    /// <summary>A check needs no other connections.</summary>
    private bool HasChannels => _options.Connections > 1 && !_options.OnlyChecks;

    private bool IsGivenUp() => _stop.IsAsked || _channels.HasFailed;

    /// <summary>What the target must have, or nothing moves.</summary>
    private ulong NeededFeatures()
    {
        bool isLocal = _guest.MemoryDescriptors is not null;
        if (isLocal && !_link!.CarriesDescriptors)
        {
            throw new MigrationException("memory can be handed over through a Unix socket only");
        }

        return (_guest.Offer.Disks is null ? 0 : MigrationWire.FeatureDisks)
            | (isLocal ? MigrationWire.FeatureLocal : 0)
            | (HasChannels ? MigrationWire.FeatureConnections : 0)
            | (_options.Postcopy == PostcopyUse.Never ? 0 : MigrationWire.FeaturePostcopy);
    }

    private static void ThrowIfMissing(ulong missing, string producer)
    {
        if (missing != 0)
        {
            string what = (missing & MigrationWire.FeatureDisks) != 0 ? "take disks along: move without them"
                : (missing & MigrationWire.FeatureLocal) != 0 ? "take memory over: move without local"
                : (missing & MigrationWire.FeaturePostcopy) != 0 ? "go on before its memory is there: move without post-copy"
                : "take more than one connection: move with one";
            throw new MigrationException($"the target ({producer}) is too old to {what}, or renew it");
        }
    }

    /// <summary>The guest runs, and goes on doing so: the target looks at what it gets, and does not touch it.</summary>
    private void HandMemoryOver()
    {
        if (_guest.MemoryDescriptors is not { } descriptors)
        {
            return;
        }

        Span<byte> counts = stackalloc byte[2 * sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(counts, (uint)descriptors.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(counts[sizeof(uint)..], (uint)_guest.TapQueues.Count);
        _link!.AttachDescriptors([.. descriptors, .. _guest.TapQueues]);
        _writer!.Write(FrameType.Memory, counts);
    }

    private void OpenChannels(bool compress)
    {
        for (int i = 1; i < _options.Connections; i++)
        {
            MigrationLink link = Connect();
            try
            {
                link.Patience = (int)_options.Patience.TotalMilliseconds;
                link.GiveUpWritesWhen(IsGivenUp);
                link.GiveUpReadsWhen(() => IsGivenUp() || _replies!.HasFailed);
                _channels.Add(new DepartingChannel(link, _session, _guest.Memory, compress));
            }
            catch (Exception e)
            {
                link.Dispose();
                if (e is IOException)
                {
                    ThrowIfStopped();
                }

                throw;
            }

            ThrowIfStopped();
        }
    }

    /// <summary>Takes as long as it takes, so while the guest still runs.</summary>
    private void FlushBeforeStop()
    {
        if (!_guest.IsPaused)
        {
            _guest.FlushDisks();
        }
    }
}
