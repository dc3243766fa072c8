using Cnvm.CommandLine;
using Cnvm.Vmm.Platform;

namespace Cnvm.BlockBackendProgram;

/// <summary>The program <c>cnvm-vhost-user-blk</c>: a disk image for virtual machines of other processes.</summary>
internal static class Program
{
    private static int Main(string[] args) =>
        new BackendProgram.BackendProgram(BlockBackendOptions.Program, BuildVersion.Full, BlockBackendHelp.Text, BlockBackendHelp.Capabilities).Run(
            () => BlockBackendOptions.Parse(args),
            static (options, logger) => DeviceFactory.CreateDisk(
                options.Disk, DeviceFactory.CreateLimiter(options.Disk.RateLimiterConfig), logger, outlivesProcess: true));
}
