using System.Text;
using System.Text.Json;

namespace Cnvm.Api.Tests;

internal sealed record RawAnswer(int Status, string Head, byte[] Body)
{
    public string Text => Encoding.ASCII.GetString(Body);

    public JsonElement Json => JsonDocument.Parse(Body).RootElement;

    /// <summary>The strings of an error's body.</summary>
    public string[] Chain => [.. Json.EnumerateArray().Select(e => e.GetString()!)];
}
