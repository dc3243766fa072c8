using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm;

// Network interfaces that are handed over with the memory.
public sealed partial class VmmService
{
    private sealed partial class Arrival
    {
        // The connection to a socket stays the source's: the target makes one of its own.
        private static int QueuesOf(NetConfig net) => net.IsStream ? 0 : net.NumQueues / 2;

        /// <exception cref="MigrationException">As many were not handed over as the configuration has.</exception>
        private void ThrowIfQueuesDiffer(VmConfig config)
        {
            int needed = config.Net?.Sum(QueuesOf) ?? 0;
            if (_queues is { } queues && queues.Count != needed)
            {
                throw new MigrationException($"net: {queues.Count} TAP queues were handed over, and the configuration has {needed}");
            }
        }

        /// <summary>What the machine is made with: interfaces that are open already, whatever their names.</summary>
        private VmConfig WithTapQueues(VmConfig config) => _queues is null ? config : WithTapQueues(config, net => QueuesOf(net) > 0);

        private VmConfig WithTapQueues(VmConfig config, Func<NetConfig, bool> which)
        {
            int next = 0;
            return config with
            {
                Net = config.Net?.Select(net =>
                {
                    int first = next;
                    next += QueuesOf(net);
                    return which(net) ? net with { Tap = null, Fds = _queues!.Skip(first).Take(QueuesOf(net)).ToList().ConvertAll(d => d.Value) } : net;
                }).ToList(),
            };
        }

        /// <summary>
        /// What stays of them when the devices have their own: interfaces with a name are opened by it after a reboot, those that came by
        /// descriptor keep what came now.
        /// </summary>
        private VmConfig KeepQueues(VmConfig config)
        {
            if (_queues is null)
            {
                return config;
            }

            VmConfig kept = WithTapQueues(config, net => net.Fds is not null);
            var numbers = (kept.Net ?? []).SelectMany(n => n.Fds ?? []).ToHashSet();
            foreach (Cnvm.Linux.FileDescriptor queue in _queues)
            {
                if (numbers.Contains(queue.Value))
                {
                    service._descriptors.Add(queue);
                }
                else
                {
                    queue.Dispose();
                }
            }

            _queues = null;
            return kept;
        }
    }
}
