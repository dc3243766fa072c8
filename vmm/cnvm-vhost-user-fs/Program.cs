using Cnvm.CommandLine;
using Cnvm.Virtio.Fs;
using Cnvm.Vmm.Platform;
using Microsoft.Extensions.Logging;

namespace Cnvm.FsBackendProgram;

/// <summary>The program <c>cnvm-vhost-user-fs</c>: a folder for virtual machines of other processes.</summary>
internal static class Program
{
    private static int Main(string[] args) =>
        new BackendProgram.BackendProgram(FsBackendOptions.Program, BuildVersion.Full, FsBackendHelp.Text, FsBackendHelp.Capabilities).Run(
            () => FsBackendOptions.Parse(args),
            Share);

    private static FsDevice Share(FsBackendOptions options, ILogger logger)
    {
        // No other folder will come, so this one may have all that there is.
        int descriptors = new DescriptorBudget().Most;
        return DeviceFactory.CreateFs(options.Fs, descriptors, descriptors, logger);
    }
}
