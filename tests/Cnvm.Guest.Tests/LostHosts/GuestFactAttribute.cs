using Xunit.Sdk;

namespace Cnvm.Guest.Tests;

/// <summary>A test that can be skipped, and that is run again when it failed in the nested host.</summary>
[XunitTestCaseDiscoverer("Cnvm.Guest.Tests." + nameof(GuestFactDiscoverer), "Cnvm.Guest.Tests")]
[AttributeUsage(AttributeTargets.Method)]
public sealed class GuestFactAttribute : FactAttribute;
