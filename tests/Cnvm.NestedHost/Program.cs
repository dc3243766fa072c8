using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Nested;

const string Usage = """
    cnvm-nested-host [options] [-- command [argument...]]

    Starts a machine with a real /dev/kvm (QEMU TCG with SVM), runs the command in it as root (a shell without one), and removes
    everything at the end. The exit code is the command's. The build machine's files are there; changes stay in the machine.

      --cpus N             processors (2)
      --memory MIB         memory (2048)
      --drive PATH         raw image as a virtio disk; writes are thrown away
      --drive-rw PATH      raw image as a virtio disk; writes go to the image
      --share DIRECTORY    a directory that is writable in there too
      --forward PORT       a TCP port of the machine to reach from here (prints where)
      --forward-unix PATH  a Unix socket of the machine to reach from here (prints where)
    """;

var options = new NestedHostOptions();
var drives = new List<NestedHostDrive>();
var ports = new List<int>();
var sockets = new List<string>();
var command = "";
for (var i = 0; i < args.Length; i++)
{
    if (args[i] == "--")
    {
        command = string.Join(' ', args.Skip(i + 1).Select(Shell.Quote));
        break;
    }

    if (args[i] is "--help" or "-h")
    {
        Console.WriteLine(Usage);
        return 0;
    }

    if (i + 1 == args.Length)
    {
        return Refuse($"unknown option or missing value: {args[i]}");
    }

    var (option, value) = (args[i], args[++i]);
    var isNumber = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number);
    switch (option)
    {
        case "--cpus" when isNumber && number is >= 1 and <= 64:
            options = options with { Cpus = number };
            break;
        case "--memory" when isNumber && number >= 256:
            options = options with { MemoryMiB = number };
            break;
        case "--forward" when isNumber && number is >= 1 and <= 65535:
            ports.Add(number);
            break;
        case "--drive" or "--drive-rw":
            drives.Add(new NestedHostDrive(Path.GetFullPath(value), option == "--drive"));
            break;
        case "--share":
            options = options with { SharedDirectory = Path.GetFullPath(value) };
            break;
        case "--forward-unix":
            sockets.Add(value);
            break;
        default:
            return Refuse($"unknown option or bad value: {option} {value}");
    }
}

options = options with { Drives = drives, ForwardedPorts = ports };
using var stop = new CancellationTokenSource();
void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}

// Ctrl-C belongs to the command inside while it has the terminal in raw mode; a signal from elsewhere ends everything.
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
try
{
    Say($"starting QEMU (TCG with SVM), {options.Cpus} processors, {options.MemoryMiB} MiB");
    await using var host = await NestedHost.StartAsync(options, stop.Token);
    Say($"ready after {host.StartDuration.TotalSeconds.ToString("F1", CultureInfo.InvariantCulture)} s");
    foreach (var port in ports)
    {
        Say($"port {port} is 127.0.0.1:{await host.ForwardAsync(port, stop.Token)} here");
    }

    foreach (var socket in sockets)
    {
        Say($"{socket} is {await host.ForwardUnixAsync(socket, stop.Token)} here");
    }

    return await host.RunHereAsync(command).WaitAsync(stop.Token);
}
catch (OperationCanceledException)
{
    return 130;
}
catch (NestedHostException e)
{
    Say(e.Message);
    return 125;
}

// Console.Error would put the terminal into another keypad mode, which the guest's programs do not expect.
static void Say(string text)
{
    using var error = Console.OpenStandardError();
    error.Write(Encoding.UTF8.GetBytes($"nested-host: {text}\n"));
}

static int Refuse(string text)
{
    Say(text);
    Say(Usage);
    return 2;
}
