using System.Globalization;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

/// <summary>The commands that change sizes.</summary>
internal static class ResizeRequests
{
    public static int Resize(Invocation invocation)
    {
        uint? cpus = null;
        if (invocation.Value("--cpus") is { } text)
        {
            cpus = uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
                ? number
                : throw CliException.Usage($"--cpus: '{text}' is no number");
        }

        ulong? memory = invocation.Size("--memory");
        ulong? balloon = invocation.Size("--balloon");
        if (cpus is null && memory is null && balloon is null)
        {
            throw CliException.Usage("nothing to resize: give --cpus, --memory or --balloon");
        }

        return RequestCommand.Send(invocation, "PUT", "vm.resize", JsonObject.Write(json =>
        {
            json.Number("desired_vcpus", cpus);
            json.Number("desired_ram", memory);
            json.Number("desired_balloon", balloon);
        }));
    }

    public static int ResizeDisk(Invocation invocation) => ResizeOne(invocation, "vm.resize-disk", "--disk", "desired_size");

    public static int ResizeZone(Invocation invocation) => ResizeOne(invocation, "vm.resize-zone", "--id", "desired_ram");

    private static int ResizeOne(Invocation invocation, string endpoint, string idOption, string sizeKey)
    {
        string id = invocation.Required(idOption);
        _ = invocation.Required("--size");
        ulong size = invocation.Size("--size")!.Value;
        return RequestCommand.Send(invocation, "PUT", endpoint, JsonObject.Write(json =>
        {
            json.Text("id", id);
            json.Number(sizeKey, size);
        }));
    }
}
