using System.Diagnostics;
using System.Globalization;

namespace Cnvm.Nested;

/// <summary>
/// A machine with a real /dev/kvm where the build machine has none: QEMU's TCG with emulated SVM, Debian's generic kernel, and the build
/// machine's own root file system under a writable layer in memory. Everything installed here is there, and nothing done there comes back.
/// </summary>
/// <remarks>
/// Safe for use by several tasks at once. QEMU dies with this process, even when it is killed. The network of the host reaches nothing but
/// forwarded ports and its <see cref="NestedHostLink"/>.
/// </remarks>
public sealed partial class NestedHost : ICommandHost, IAsyncDisposable
{
    private readonly NestedHostOptions _options;
    private readonly StartDirectory _directory;
    private readonly Process _qemu;
    private readonly OutputLog _console;
    private readonly QmpClient _qmp = new();
    private readonly Dictionary<int, int> _forwards = [];
    private readonly SemaphoreSlim _forwarding = new(1);
    private Process? _master;
    private int _sshPort;
    private int _disposed;

    private NestedHost(NestedHostOptions options, StartDirectory directory, Process qemu)
    {
        _options = options;
        _directory = directory;
        _qemu = qemu;
        _console = new OutputLog(directory.File("console.log"), qemu.StandardOutput.BaseStream, qemu.StandardError.BaseStream);
    }

    /// <summary>Everything the host's kernel and QEMU have printed (the last 1 Mi characters).</summary>
    public string Console => _console.Text;

    /// <summary>The file that the console is written to; gone after <see cref="DisposeAsync"/>.</summary>
    public string ConsoleFile => _directory.File("console.log");

    /// <summary>Process id of QEMU.</summary>
    public int ProcessId => _qemu.Id;

    /// <summary>How long the start took.</summary>
    public TimeSpan StartDuration { get; private set; }

    /// <summary>Starts a host and returns when it runs commands.</summary>
    /// <exception cref="NestedHostException">It did not start; the message has QEMU's words and the console's tail.</exception>
    public static async Task<NestedHost> StartAsync(NestedHostOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new NestedHostOptions();
        var clock = Stopwatch.StartNew();
        var kernel = Repository.Image("nested-vmlinux");
        var initramfs = Repository.Image("nested-initramfs.cpio");
        var directory = await StartDirectory.CreateAsync(options, cancellation).ConfigureAwait(false);
        Process qemu;
        try
        {
            qemu = await BoundProcess.StartAsync(QemuStart(options, directory, kernel, initramfs)).ConfigureAwait(false);
        }
        catch
        {
            directory.Dispose();
            throw;
        }

        var host = new NestedHost(options, directory, qemu);
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(options.StartTimeout);
            await host.BecomeReadyAsync(limit.Token).ConfigureAwait(false);
            host.StartDuration = clock.Elapsed;
            host._watch = host.WatchAsync(host._watchEnd.Token);
            return host;
        }
        catch (Exception e)
        {
            // The console ends with QEMU, so that the message has its last words.
            host.KillQemu();
            await host._console.Ended.ConfigureAwait(false);
            var message = e is OperationCanceledException && !cancellation.IsCancellationRequested
                ? $"the nested host was not ready after {options.StartTimeout.TotalSeconds:F0} s"
                : $"the nested host did not start: {e.Message}";
            var full = $"{message}\n{host._console.Tail}";
            await host.DisposeAsync().ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
            throw new NestedHostException(full, e);
        }
    }

    /// <summary>Ends the host and everything in it, at once. Disks that are written through are synchronised before.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        try
        {
            await SynchroniseDrivesAsync().ConfigureAwait(false);
        }
        finally
        {
            await EndAsync().ConfigureAwait(false);
        }
    }

    private async Task SynchroniseDrivesAsync()
    {
        var disks = _options.Drives.Select((drive, i) => (drive, Path: "/dev/vd" + (char)('a' + i)))
            .Where(disk => !disk.drive.Snapshot).Select(disk => disk.Path).ToList();
        if (disks.Count > 0 && _master is { HasExited: false } && !_qemu.HasExited)
        {
            var sync = await RunOnceAsync("sync " + string.Join(' ', disks), TimeSpan.FromMinutes(5), null, default).ConfigureAwait(false);
            sync.OrThrow();
        }
    }

    private async Task EndAsync()
    {
        await _watchEnd.CancelAsync().ConfigureAwait(false);
        await _watch.ConfigureAwait(false);
        _watchEnd.Dispose();
        KillQemu();
        await _qemu.WaitForExitAsync().ConfigureAwait(false);
        if (_master is not null)
        {
            Kill(_master);
            await _master.WaitForExitAsync().ConfigureAwait(false);
            _master.Dispose();
        }

        await _console.DisposeAsync().ConfigureAwait(false);
        _qmp.Dispose();
        _qemu.Dispose();
        _forwarding.Dispose();
        _directory.Dispose();
    }

    private static ProcessStartInfo QemuStart(NestedHostOptions options, StartDirectory directory, string kernel, string initramfs)
    {
        // guest-images/nested-emulator.sh says why it may be another than the installed one.
        var unpacked = Path.Combine(Repository.Images, "nested-emulator");
        var program = Path.Combine(unpacked, "qemu-system-x86_64");
        var isUnpacked = !options.UsesInstalledEmulator && File.Exists(program);
        var start = new ProcessStartInfo(isUnpacked ? program : "qemu-system-x86_64")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        void Add(params string[] arguments) => Array.ForEach(arguments, start.ArgumentList.Add);
        static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

        if (isUnpacked)
        {
            Add("-L", unpacked);
        }

        Add("-accel", "tcg,thread=multi", "-cpu", options.CpuModel);
        Add("-smp", Invariant($"{options.Cpus}"), "-m", Invariant($"{options.MemoryMiB}"));
        Add("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot");
        Add("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console");
        Add("-qmp", $"unix:{directory.File("qmp")},server=on,wait=off");
        Add("-kernel", kernel, "-initrd", initramfs);
        // maxcpus=1: the guest's init says why, and brings the other processors in. no_timer_check: on a busy machine the emulated timer ticks too late
        // for the kernel's test of it, which then panics.
        var tsc = options.TscKhz == 0 ? "" : Invariant($"tsc_early_khz={options.TscKhz} ");
        Add("-append", "console=ttyS0 panic=-1 quiet maxcpus=1 mitigations=off nopti random.trust_cpu=on unknown_nmi_panic panic_print=0x40 no_timer_check "
            + Invariant($"{tsc}cnvm.dir={directory.Path}"));
        // Read-only: nothing in the nested host can change the build machine.
        Add("-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap");
        Add("-device", "virtio-9p-pci,fsdev=root,mount_tag=root");
        // Port 0: the system picks a free one, so that two starts cannot choose the same. restrict=on lets nothing out.
        Add("-netdev", "user,id=control,restrict=on,hostfwd=tcp:127.0.0.1:0-10.0.2.15:22");
        Add("-device", "virtio-net-pci,netdev=control,romfile=");
        if (options.Link is { } link)
        {
            Add("-netdev", $"dgram,id=link,local.type=unix,local.path={link.LocalSocket},remote.type=unix,remote.path={link.RemoteSocket}");
            Add("-device", $"virtio-net-pci,netdev=link,mac={link.Mac},romfile=");
        }

        if (options.SharedDirectory is { } shared)
        {
            Add("-fsdev", $"local,id=shared,path={Escape(shared)},security_model=none,multidevs=remap");
            Add("-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared");
        }

        for (var i = 0; i < options.Drives.Count; i++)
        {
            var drive = options.Drives[i];
            Add("-drive", Invariant($"file={Escape(drive.Path)},if=none,id=drive{i},format=raw,snapshot={(drive.Snapshot ? "on" : "off")}"));
            Add("-device", Invariant($"virtio-blk-pci,drive=drive{i}"));
        }

        Add([.. options.QemuArguments]);
        return start;
    }

    /// <summary>In QEMU's option lists a comma is written twice.</summary>
    private static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    private async Task BecomeReadyAsync(CancellationToken cancellation)
    {
        const string Ready = "CNVM-NESTED-READY";
        if (await _console.WaitAsync(Ready, 0, null, cancellation).ConfigureAwait(false) < 0)
        {
            throw new NestedHostException("QEMU ended before the host was ready");
        }

        if (Console.IndexOf("CNVM-NESTED-FAILED", StringComparison.Ordinal) is >= 0 and var failed)
        {
            throw new NestedHostException(Console[failed..].Split('\n')[0].Trim());
        }

        await _qmp.ConnectAsync(_directory.File("qmp"), cancellation).ConfigureAwait(false);
        _sshPort = await ForwardedPortAsync(22, cancellation).ConfigureAwait(false);
        await ConnectMasterAsync(cancellation).ConfigureAwait(false);
        foreach (var port in _options.ForwardedPorts)
        {
            await ForwardAsync(port, cancellation).ConfigureAwait(false);
        }
    }

    private void KillQemu() => Kill(_qemu);

    private static void Kill(Process process)
    {
        try
        {
            process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended already, which is what was wanted.
            return;
        }
    }
}
