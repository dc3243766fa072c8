using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm events</c>, and how other commands wait for something to happen.</summary>
internal static class EventsCommand
{
    private const string Endpoint = "vmm.events";

    public static int Run(Invocation invocation)
    {
        using CnvmClient client = VmTarget.Find(invocation).Connect();
        ulong last = Print(client.Call("GET", Endpoint), invocation.Json);
        while (invocation.Has("--follow"))
        {
            try
            {
                last = Print(AskAfter(client, last), invocation.Json);
            }
            catch (LinuxException)
            {
                // The VMM has ended, and with it the events.
                break;
            }
        }

        return ExitCode.Success;
    }

    /// <summary>Number of the latest event.</summary>
    public static ulong AskLast(CnvmClient client)
    {
        using JsonDocument page = JsonDocument.Parse(client.Call("GET", Endpoint));
        return page.RootElement.GetProperty("last").GetUInt64();
    }

    /// <summary>Waits until something happens behind an event, as long as the client has patience.</summary>
    public static byte[] AskAfter(CnvmClient client, ulong last) =>
        client.Call("GET", string.Create(CultureInfo.InvariantCulture, $"{Endpoint}?after={last}"));

    private static ulong Print(byte[] answer, bool json)
    {
        using JsonDocument page = JsonDocument.Parse(answer);
        foreach (JsonElement happened in page.RootElement.GetProperty("events").EnumerateArray())
        {
            if (json)
            {
                PrintLine(happened);
            }
            else
            {
                Stdio.Print(Printable.Line(Describe(happened)));
            }
        }

        return page.RootElement.GetProperty("last").GetUInt64();
    }

    private static void PrintLine(JsonElement element)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            element.WriteTo(writer);
        }

        Stdio.Print(buffer.WrittenSpan);
    }

    private static string Describe(JsonElement happened)
    {
        const int NanosecondsPerMillisecond = 1_000_000;
        JsonElement time = happened.GetProperty("timestamp");
        var text = new StringBuilder();
        text.Append(
            CultureInfo.InvariantCulture,
            $"{time.GetProperty("secs").GetInt64(),6}.{time.GetProperty("nanos").GetInt64() / NanosecondsPerMillisecond:D3} {happened.GetProperty("source").GetString()} {happened.GetProperty("event").GetString()}");
        if (happened.TryGetProperty("properties", out JsonElement properties))
        {
            foreach (JsonProperty property in properties.EnumerateObject())
            {
                text.Append(CultureInfo.InvariantCulture, $" {property.Name}={property.Value}");
            }
        }

        return text.ToString();
    }
}
