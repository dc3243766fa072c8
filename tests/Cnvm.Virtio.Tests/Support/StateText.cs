using System.Text.Json;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>A state record as text, so that two of them can be compared with everything inside.</summary>
internal static class StateText
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true };

    public static string Of(object state) => JsonSerializer.Serialize(state, state.GetType(), Options);
}
